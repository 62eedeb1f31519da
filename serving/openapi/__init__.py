"""The documentation of the API, made from each use case."""
