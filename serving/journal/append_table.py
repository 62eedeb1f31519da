"""A table of PostgreSQL that only grows: many rows in one COPY, each exactly once by its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from noria.io.reopened_connection import ReopenedConnection


class AppendTable:
    """One table, over one connection that is opened when needed.

    Args:
        url: of PostgreSQL.
        name: schema and table.
        columns: of a row, in order; `id` among them is the primary key.
    """

    def __init__(self, url: str, name: str, columns: Sequence[str]) -> None:
        self._name = name
        self._columns = ", ".join(columns)
        self._connection = ReopenedConnection(
            url,
            "noria-serving",
            statement_timeout=60_000,
            lock_timeout=30_000,
            tcp_user_timeout=30_000,
            keepalives_idle=10,
        )

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Store rows in one transaction; rows that exist already stay as they are. Returns the number of new ones.

        Raises:
            psycopg.Error: nothing was stored.
        """
        connection = self._connection.get()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                self._store(cursor, rows)
                return cursor.rowcount
        except psycopg.OperationalError:
            self.close()
            raise

    def _store(self, cursor: psycopg.Cursor[Any], rows: Sequence[tuple[Any, ...]]) -> None:
        # once for a connection: one for every transaction would bloat PostgreSQL's catalogue
        cursor.execute(f"create temp table if not exists incoming (like {self._name}) on commit delete rows")
        with cursor.copy(f"copy incoming ({self._columns}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"insert into {self._name} ({self._columns}) select {self._columns} from incoming on conflict (id) do nothing"
        )

    def close(self) -> None:
        """Close the connection; the next insert opens another."""
        self._connection.close()
