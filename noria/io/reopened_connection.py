"""One connection to PostgreSQL that is opened when needed, and again after it was closed."""

from __future__ import annotations

from typing import Any

import psycopg


class ReopenedConnection:
    """A connection for one thread of one process; a server that has vanished is noticed, not waited for.

    Args:
        url: of PostgreSQL.
        name: of the application, as PostgreSQL shows it.
        statement_timeout: longest run of a statement, in milliseconds.
        lock_timeout: longest wait for a lock, in milliseconds.
        tcp_user_timeout: longest wait for the server to acknowledge what was sent, in milliseconds.
        keepalives_idle: seconds without traffic until the server is asked whether it is there.
    """

    def __init__(
        self, url: str, name: str, *, statement_timeout: int, lock_timeout: int, tcp_user_timeout: int, keepalives_idle: int
    ) -> None:
        self._url = url
        self._parameters: dict[str, Any] = {
            "connect_timeout": 5,
            "application_name": name,
            "options": f"-c timezone=UTC -c statement_timeout={statement_timeout} -c lock_timeout={lock_timeout}",
            "tcp_user_timeout": tcp_user_timeout,
            "keepalives_idle": keepalives_idle,
        }
        self._connection: psycopg.Connection[Any] | None = None

    def get(self) -> psycopg.Connection[Any]:
        """The open connection, in autocommit.

        Raises:
            psycopg.OperationalError: PostgreSQL does not answer.
        """
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, **self._parameters)
        return self._connection

    def close(self) -> None:
        """Close it; the next `get` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
