"""Faults of what serving depends on, under load."""
