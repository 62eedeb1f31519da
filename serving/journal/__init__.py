"""Predictions on local disk first, in PostgreSQL soon after."""
