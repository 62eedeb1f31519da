"""Noria's serving against other model servers."""
