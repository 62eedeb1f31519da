"""How is the API documented? OpenAPI and pages, made from each use case."""
