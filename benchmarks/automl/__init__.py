"""Noria's search and training against other AutoML tools."""
