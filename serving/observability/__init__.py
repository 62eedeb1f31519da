"""How is the process doing? Metrics, traces, logs, readiness."""
