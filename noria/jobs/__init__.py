"""Steps of pipelines and commands: each takes Services, acts, and returns a small named result."""
