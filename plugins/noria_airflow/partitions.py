"""Intervals as partition keys: the start of the interval, written as people write it.

The key travels with the run and with every asset event, and is the same text all along, so that an interval's data, scores
and verdict meet. `2013-05-01` is May 2013 where intervals are months; an hourly interval also names its hour. Training has a
key too: the date as of which it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from noria.core.base.errors import IntervalError
from noria.core.base.interval import Cadence, Interval, parse_instant
from noria.core.use_case import Schedule


def key_format(cadence: Cadence) -> str:
    """The `strftime` format of keys."""
    return "%Y-%m-%dT%H:%M" if cadence is Cadence.HOURLY else "%Y-%m-%d"


def key_of(instant: datetime, cadence: Cadence) -> str:
    """The partition key of the interval that starts, or of the training that looks up to, an instant."""
    return instant.strftime(key_format(cadence))


def instant_of(key: str, cadence: Cadence) -> datetime:
    """The instant that a partition key names, UTC.

    Raises:
        IntervalError: it is not written as keys of this cadence are.
    """
    form = key_format(cadence)
    try:
        instant = datetime.strptime(key, form).replace(tzinfo=UTC)
    except ValueError as error:
        raise IntervalError(f"partition key {key!r} is not of the form {_example(cadence)}") from error
    if instant.strftime(form) != key:
        # "2013-5-1" would be another key than "2013-05-01", and the runs of one interval would not meet.
        raise IntervalError(f"partition key {key!r} must be written {instant.strftime(form)!r}")
    return instant


@dataclass(frozen=True)
class DatasetIntervals:
    """The intervals that a data set has.

    Attributes:
        cadence: how time is cut.
        start: start of the first interval.
        end: end of the last one; None for a data set that goes on.
    """

    cadence: Cadence
    start: datetime
    end: datetime | None

    @classmethod
    def of(cls, schedule: Schedule) -> DatasetIntervals:
        """The intervals of a use case."""
        start = schedule.data.floor(parse_instant(schedule.start.isoformat()))
        if schedule.span is None:
            return cls(schedule.data, start, None)
        return cls(schedule.data, start, schedule.data.intervals(schedule.span)[-1].end)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DatasetIntervals:
        """Read what `serialize` wrote."""
        end = parse_instant(data["end"]) if data["end"] else None
        return cls(Cadence(data["cadence"]), parse_instant(data["start"]), end)

    def serialize(self) -> dict[str, Any]:
        """As JSON."""
        end = self.end.isoformat() if self.end else None
        return {"cadence": self.cadence.value, "start": self.start.isoformat(), "end": end}

    def interval_of(self, key: str | None) -> Interval:
        """The interval that a run's partition key names.

        Raises:
            IntervalError: there is no key, or it names no interval of the data set.
        """
        if not key:
            raise IntervalError(
                "this run has no partition key, so it does not know its interval: trigger it with one, the start of "
                f"the interval written {_example(self.cadence)}, or use Backfill"
            )
        interval = self.cadence.interval_starting(instant_of(key, self.cadence))
        if interval.start < self.start or (self.end and interval.start >= self.end):
            raise IntervalError(f"{interval} is not part of the data, which {self}")
        return interval

    def as_of(self, key: str) -> datetime:
        """The date of training that a partition key names.

        Raises:
            IntervalError: nothing is known by then.
        """
        instant = instant_of(key, self.cadence)
        if instant <= self.start:
            raise IntervalError(f"nothing is known as of {key}: the data {self}")
        return instant

    def between(self, earliest: datetime, latest: datetime, now: datetime) -> Iterator[Interval]:
        """Intervals that start within `[earliest, latest]`, belong to the data set and are over by `now`."""
        start = self.cadence.floor(max(earliest, self.start))
        if start < max(earliest, self.start):
            start = self.cadence.next(start)
        last = min(latest, self.end - timedelta.resolution) if self.end else latest
        while start <= last and self.cadence.next(start) <= now:
            yield self.cadence.interval_starting(start)
            start = self.cadence.next(start)

    def __str__(self) -> str:
        until = f" and ends before {key_of(self.end, self.cadence)}" if self.end else ""
        return f"starts on {key_of(self.start, self.cadence)}{until}"


def _example(cadence: Cadence) -> str:
    return key_of(datetime(2013, 5, 1, tzinfo=UTC), cadence)
