"""Rows in PostgreSQL: brought in, checked, transformed, and read back for training and monitoring."""
