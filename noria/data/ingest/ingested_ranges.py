"""Ingested ranges: which stretches of event time each source has brought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from noria.core.base.interval import Interval


def gaps(covered: Sequence[Interval], window: Interval) -> tuple[Interval, ...]:
    """The parts of the window that no stretch covers, in order."""
    found: list[Interval] = []
    reached = window.start
    for stretch in sorted(covered):
        if stretch.end <= reached or stretch.start >= window.end:
            continue
        if stretch.start > reached:
            found.append(Interval(reached, stretch.start))
        reached = stretch.end
    if reached < window.end:
        found.append(Interval(reached, window.end))
    return tuple(found)


def remainders(stretch: Interval, replaced: Interval) -> tuple[Interval, ...]:
    """Parts of a stretch that are left when an interval is cut out of it."""
    found: list[Interval] = []
    if stretch.start < replaced.start:
        found.append(Interval(stretch.start, min(stretch.end, replaced.start)))
    if stretch.end > replaced.end:
        found.append(Interval(max(stretch.start, replaced.end), stretch.end))
    return tuple(found)


def read_coverage(connection: Connection, use_case: str, source: str, window: Interval) -> tuple[Interval, ...]:
    """Stretches of a source that touch the window, in order."""
    rows = connection.execute(
        text(
            "select start_at, end_at from ops.ingested where use_case = :use_case and source = :source "
            "and start_at < :end and end_at > :start order by start_at"
        ),
        {"use_case": use_case, "source": source, "start": window.start, "end": window.end},
    )
    return tuple(Interval(row.start_at, row.end_at) for row in rows)


def record(connection: Connection, use_case: str, source: str, interval: Interval, *, rows: int, now: datetime) -> None:
    """Note that a source has brought an interval whole; stretches that reach into it keep what lies outside.

    The row count of such a remainder is its share of the stretch's rows, by length: a report, not a checksum.
    """
    for stretch in read_coverage(connection, use_case, source, interval):
        _cut(connection, use_case, source, stretch, interval)
    connection.execute(
        text("insert into ops.ingested values (:use_case, :source, :start, :end, :rows, :now)"),
        {"use_case": use_case, "source": source, "start": interval.start, "end": interval.end, "rows": rows, "now": now},
    )


def _cut(connection: Connection, use_case: str, source: str, stretch: Interval, replaced: Interval) -> None:
    removed = connection.execute(
        text(
            "delete from ops.ingested where use_case = :use_case and source = :source and start_at = :start "
            "returning row_count, ingested_at"
        ),
        {"use_case": use_case, "source": source, "start": stretch.start},
    ).one()
    for part in remainders(stretch, replaced):
        connection.execute(
            text("insert into ops.ingested values (:use_case, :source, :start, :end, :rows, :at)"),
            {
                "use_case": use_case,
                "source": source,
                "start": part.start,
                "end": part.end,
                "rows": round(removed.row_count * part.days / stretch.days),
                "at": removed.ingested_at,
            },
        )
