"""Which version answers now? Champions and challengers, fetched from the registry, checked, kept on disk."""
