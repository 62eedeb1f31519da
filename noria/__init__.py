"""Noria: from a use case in one folder to a model that is trained, served, watched and replaced."""
