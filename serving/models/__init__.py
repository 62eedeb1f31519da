"""Which version answers: champions and challengers, brought from the registry, checked, kept on disk."""
