"""The process seen from outside: metrics, traces, logs, readiness."""
