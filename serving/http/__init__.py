"""HTTP: the fast path, its batching and protocol, error responses, headers, routes."""
