"""PostgreSQL advisory locks: what may not happen at the same time, across processes and machines.

The only place that takes them. A lock has a name; PostgreSQL keeps 64 bits of its hash. The server releases a lock when its
transaction or its session ends, so a process that is killed holds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

    AnyConnection = Connection | psycopg.Connection[Any]


def lock_transaction(connection: AnyConnection, name: str) -> None:
    """Wait for the lock of that name; the end of the transaction releases it."""
    _call(connection, "pg_advisory_xact_lock", name)


def lock_session(connection: AnyConnection, name: str, *, shared: bool = False) -> None:
    """Wait for the lock of that name; `unlock_session` or the end of the session releases it.

    Args:
        connection: in autocommit; of a pool only if it is detached or unlocks.
        name: of the lock.
        shared: whether others that share may hold it too.
    """
    _call(connection, "pg_advisory_lock_shared" if shared else "pg_advisory_lock", name)


def try_lock_session(connection: AnyConnection, name: str) -> bool:
    """Take the lock of that name if it is free; False if another session holds it."""
    return bool(_call(connection, "pg_try_advisory_lock", name))


def unlock_session(connection: AnyConnection, name: str) -> None:
    """Release the lock of that name."""
    _call(connection, "pg_advisory_unlock", name)


@contextmanager
def session_lock(connection: AnyConnection, name: str) -> Iterator[None]:
    """Hold the lock of that name while the block runs.

    A connection that cannot release it is closed, which does: the block's own error or result stands.
    """
    lock_session(connection, name)
    try:
        yield
    finally:
        try:
            unlock_session(connection, name)
        except Exception:
            connection.close()


def _call(connection: AnyConnection, function: str, name: str) -> Any:
    from sqlalchemy import Connection, text

    if isinstance(connection, Connection):
        return connection.execute(text(f"select {function}(hashtextextended(:name, 0))"), {"name": name}).scalar()
    row = connection.execute(f"select {function}(hashtextextended(%(name)s, 0))", {"name": name}).fetchone()
    return None if row is None else row[0]
