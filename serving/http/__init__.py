"""How does a request become a response? Fast path, batching, protocol, routes, errors, headers."""
