"""Keeps features that have not passed their checks away from training and scoring.

dbt commits rows before it tests them, and the features' expectations are held after that. An interval is therefore in
quarantine from before its features are rebuilt until they have passed, even if a process is killed in between.
"""

from __future__ import annotations

import logging

from sqlalchemy import text

from noria.core.base.errors import QualityError
from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse, quote

log = logging.getLogger(__name__)
_TOUCHING = "use_case = :use_case and start_at < :end and :start < end_at"


def quarantine(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> None:
    """Keep the interval's features from use until `release`."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("insert into ops.quarantined values (:use_case, :start, :end) on conflict do nothing"),
            _bind(use_case, interval),
        )


def release(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> None:
    """The interval's features have passed their checks; a longer stretch stays in quarantine until all of it has."""
    within = "use_case = :use_case and start_at >= :start and end_at <= :end"
    with warehouse.transaction() as connection:
        connection.execute(text(f"delete from ops.quarantined where {within}"), _bind(use_case, interval))


def refuse_quarantined(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> None:
    """Let an interval pass whose features have passed.

    Raises:
        QualityError: some of the interval's features have not.
    """
    if found := quarantined(warehouse, use_case, interval):
        raise QualityError(
            f"{use_case.name}: the features of {', '.join(map(str, found))} have not passed their checks; "
            f"look at the run of {use_case.name}__data for that interval, mend the cause and run it again"
        )


def quarantined(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> tuple[Interval, ...]:
    """Quarantined rows of an interval, in order."""
    with warehouse.transaction() as connection:
        query = text(f"select start_at, end_at from ops.quarantined where {_TOUCHING} order by start_at")
        return tuple(Interval(row.start_at, row.end_at) for row in connection.execute(query, _bind(use_case, interval)))


def passed(use_case: UseCase, alias: str) -> str:
    """SQL condition: the row's interval is not in quarantine."""
    event_time = f"{alias}.{quote(use_case.event_time)}"
    return (
        f"not exists (select from ops.quarantined as q where q.use_case = '{use_case.name}' "
        f"and q.start_at <= {event_time} and {event_time} < q.end_at)"
    )


def _bind(use_case: UseCase, interval: Interval) -> dict[str, object]:
    return {"use_case": use_case.name, "start": interval.start, "end": interval.end}
