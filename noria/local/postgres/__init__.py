"""The embedded PostgreSQL: its programs out of a Python wheel, the account that it runs as, and the server."""

from noria.local.postgres.server import PostgresServer

__all__ = ["PostgresServer"]
