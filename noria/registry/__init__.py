"""Versions of models in MLflow, behind the port `noria.core.lifecycle.registry.ModelRegistry`."""
