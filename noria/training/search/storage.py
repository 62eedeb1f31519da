"""PostgreSQL of the search: Optuna's storage, connections, and retries while the server is unreachable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa

from noria.core.base.errors import NoriaError, first_line
from noria.io.advisory_locks import session_lock

PATIENCE_SECONDS = 120.0
"""Time that a worker waits for PostgreSQL to come back: longer than a restart takes."""
_SCHEMA = "optuna"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def open_storage(storage_url: str) -> Any:
    """Optuna's storage in a schema of its own; tables are created if they do not exist."""
    from optuna.storages import RDBStorage

    engine = {
        "connect_args": {"options": f"-csearch_path={_SCHEMA}"},
        "pool_size": 2,
        "max_overflow": 2,
        "pool_pre_ping": True,
    }
    # Workers start together: one of them creates the tables, the others wait for it.
    with connect(storage_url) as connection, session_lock(connection, "noria.study/schema"):
        connection.execute(f"create schema if not exists {_SCHEMA}")
        return RDBStorage(_with_driver(storage_url), engine_kwargs=engine)


def connect(storage_url: str) -> psycopg.Connection[Any]:
    """A new connection in autocommit, for locks."""
    plain = sa.make_url(storage_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def patiently(
    action: Callable[[], _T], *, before_retry: Callable[[], None] | None = None, seconds: float = PATIENCE_SECONDS
) -> _T:
    """The result of an action on PostgreSQL, retried while the server cannot be reached.

    Args:
        action: may be executed twice, as an answer can be lost after the server has executed it.
        before_retry: renews what the action needs, such as a connection.
        seconds: how long to retry.

    Raises:
        NoriaError: the server was unreachable all the time.
    """
    deadline, pauses = time.monotonic() + seconds, _pauses()
    retry = False
    while True:
        try:
            if retry and before_retry is not None:
                before_retry()
            return action()
        except Exception as error:
            if not connection_was_lost(error):
                raise
            if time.monotonic() > deadline:
                raise NoriaError(
                    f"PostgreSQL cannot be reached since {seconds:.0f} s ({_reason(error)}); when it is back, "
                    "run the search step again: it goes on where it stopped"
                ) from error
            if not retry:
                _log.warning("PostgreSQL cannot be reached (%s); waiting for it", _reason(error))
            retry = True
        time.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Seconds between retries: doubled up to five."""
    pause = 0.2
    while True:
        yield pause
        pause = min(2 * pause, 5.0)


def connection_was_lost(error: BaseException) -> bool:
    """Whether an error means that the server is unreachable, not that it refused a statement."""
    from sqlalchemy.exc import DBAPIError, PendingRollbackError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DBAPIError) and seen.connection_invalidated:
            return True
        if isinstance(seen, psycopg.OperationalError | psycopg.InterfaceError):
            return not isinstance(seen, psycopg.errors.InvalidPassword | psycopg.errors.InvalidCatalogName)
        # Optuna retries once in the transaction that was just lost: SQLAlchemy's error has the loss as its context.
        seen = seen.__context__ if isinstance(seen, PendingRollbackError) else seen.__cause__
    return False


def _with_driver(storage_url: str) -> str:
    return sa.make_url(storage_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
