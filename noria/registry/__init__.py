"""Versions of models in MLflow, behind the port `noria.ports.model_registry.ModelRegistry`."""
