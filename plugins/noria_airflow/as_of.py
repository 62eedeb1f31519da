"""Up to when a training run may look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from noria.core.base.errors import IntervalError
from noria.core.base.interval import parse_instant
from noria.core.use_case import Schedule
from noria_airflow.partitions import DatasetIntervals


@dataclass(frozen=True)
class AsOf:
    """Up to when a training run may look, and who wanted that."""

    instant: datetime
    reason: str


def resolve_as_of(
    schedule: Schedule, *, chosen: str | None, key: str | None, reasons: Sequence[str], run_after: datetime
) -> AsOf:
    """Up to when training may look.

    A person's choice wins, then the run's partition; else it is the last interval bound before the run, but not after the
    end of a data set that has ended.

    Args:
        schedule: the use case's.
        chosen: the run's parameter `as_of`.
        key: the run's partition key.
        reasons: what the events say that woke the run.
        run_after: when the run was to start.

    Raises:
        IntervalError: the date cannot be read, nothing is known by then, or it has not come yet.
    """
    span = DatasetIntervals.of(schedule)
    if chosen:
        as_of = AsOf(parse_instant(chosen), "as of a date chosen by hand")
    elif key:
        as_of = AsOf(span.as_of(key), "; ".join(reasons) or "planned")
    else:
        bound = schedule.data.floor(run_after)
        as_of = AsOf(min(bound, span.end) if span.end else bound, "started by hand")
    if as_of.instant <= span.start:
        raise IntervalError(f"nothing is known as of {as_of.instant:%Y-%m-%d}: the data {span}")
    if as_of.instant > run_after:
        raise IntervalError(f"{as_of.instant:%Y-%m-%d} has not come yet: a training run may only look back")
    return as_of
