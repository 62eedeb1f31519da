"""Locks of intervals: two steps never replace the same rows at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.io.advisory_locks import lock_session, lock_transaction


def cells(use_case: UseCase, interval: Interval) -> tuple[str, ...]:
    """Names of the stretches of the use case's cadence that an interval touches, in order.

    Two intervals that overlap share a cell, however they are cut; two months do not.
    """
    return tuple(f"{use_case.name}/{cell.start.isoformat()}" for cell in use_case.schedule.data.intervals(interval))


def lock_interval(connection: Connection, use_case: UseCase, interval: Interval, what: str) -> None:
    """Wait until nothing else replaces rows of the interval; the end of the transaction gives it back."""
    for cell in cells(use_case, interval):
        lock_transaction(connection, f"{what}/{cell}")


@contextmanager
def holding(warehouse: Warehouse, names: tuple[str, ...], *, shared: bool = False) -> Iterator[None]:
    """Hold locks of those names while the block runs, in no transaction: they may be held for long.

    Args:
        warehouse: whose locks.
        names: taken in this order; every caller must keep the same order.
        shared: let others hold them too, if they also share.
    """
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # never back to the pool: when the session ends, for any cause, its locks do
        for name in names:
            lock_session(connection, name, shared=shared)
        yield
