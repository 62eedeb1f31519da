"""PostgreSQL for the search: connections, advisory locks, and patience while the server is away for a moment."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from noria.core.base.errors import NoriaError

PATIENCE_SECONDS = 120.0
"""How long a worker waits for PostgreSQL to come back: longer than a restart takes."""
_SCHEMA = "optuna"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def open_storage(storage_url: str) -> Any:
    """Optuna's tables in a schema of their own, made if they are not there."""
    from optuna.storages import RDBStorage

    engine = {
        "connect_args": {"options": f"-csearch_path={_SCHEMA}"},
        "pool_size": 2,
        "max_overflow": 2,
        "pool_pre_ping": True,
    }
    # Workers start together: one of them makes the tables, the others wait for it.
    with connect(storage_url) as connection, locked(connection, "schema"):
        connection.execute(f"create schema if not exists {_SCHEMA}")
        return RDBStorage(_with_driver(storage_url), engine_kwargs=engine)


def connect(storage_url: str) -> psycopg.Connection[Any]:
    """A connection of its own, for locks."""
    plain = sa.make_url(storage_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def patiently(action: Callable[[], _T], *, before_retry: Callable[[], None] | None = None) -> _T:
    """The result of an action on PostgreSQL, tried again while the server cannot be reached.

    Args:
        action: may be carried out twice: an answer can be lost after the server has acted.
        before_retry: makes what the action needs anew, such as a connection.

    Raises:
        NoriaError: the server stayed away.
    """
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.2
    again = False
    while True:
        try:
            if again and before_retry is not None:
                before_retry()
            return action()
        except Exception as error:
            if not connection_was_lost(error):
                raise
            if time.monotonic() > deadline:
                raise NoriaError(
                    f"PostgreSQL cannot be reached since {PATIENCE_SECONDS:.0f} s ({_first_line(error)}); when it is back, "
                    "run the search step again: it goes on where it stopped"
                ) from error
            if not again:
                _log.warning("PostgreSQL cannot be reached (%s); waiting for it", _first_line(error))
            again = True
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def connection_was_lost(error: BaseException) -> bool:
    """Whether an error says that the server is away, rather than that it refused what was asked."""
    from sqlalchemy.exc import DBAPIError, PendingRollbackError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DBAPIError) and seen.connection_invalidated:
            return True
        if isinstance(seen, psycopg.OperationalError | psycopg.InterfaceError):
            return not isinstance(seen, psycopg.errors.InvalidPassword | psycopg.errors.InvalidCatalogName)
        # Optuna asks once more in the transaction that was just lost: SQLAlchemy's refusal has the loss as its context.
        seen = seen.__context__ if isinstance(seen, PendingRollbackError) else seen.__cause__
    return False


@contextmanager
def locked(connection: psycopg.Connection[Any], name: str) -> Iterator[None]:
    """Hold an advisory lock; the server drops it with the connection."""
    key = lock_key(name)
    connection.execute("select pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [key])


def lock_key(name: str) -> int:
    """The number under which PostgreSQL knows a lock of ours."""
    return int.from_bytes(hashlib.sha256(f"noria.study/{name}".encode()).digest()[:8], "big", signed=True)


def _with_driver(storage_url: str) -> str:
    return sa.make_url(storage_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _first_line(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
