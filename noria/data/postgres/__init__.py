"""The connection to PostgreSQL and its locks."""
