"""The process seen from outside: workers, start and end, metrics, traces, logs, readiness."""
