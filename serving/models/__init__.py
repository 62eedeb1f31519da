"""Which version answers: champions and challengers, fetched from the registry, checked, kept on disk."""
