"""Half-open intervals of event time, and the cadence that lines them up.

Every pipeline step takes an explicit interval and never asks the clock, so that a replay is the same computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from noria.core.base.errors import IntervalError


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 date or date-time as a UTC instant; a date or a naive date-time is taken as UTC.

    Raises:
        IntervalError: the text is not ISO 8601.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise IntervalError(f"{text!r} is not a date: write it as 2013-05-01 or 2013-05-01T06:00:00Z") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


@dataclass(frozen=True, order=True)
class Interval:
    """Event times ``start <= t < end``, both UTC.

    Raises:
        IntervalError: a bound is naive, or ``end`` is not after ``start``.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, bound in (("start", self.start), ("end", self.end)):
            if bound.tzinfo is None:
                raise IntervalError(f"interval {name} {bound.isoformat()} has no time zone: pass an aware date-time")
            object.__setattr__(self, name, bound.astimezone(UTC))
        if self.end <= self.start:
            raise IntervalError(f"interval is empty: end {self.end.isoformat()} is not after start {self.start.isoformat()}")

    @classmethod
    def parse(cls, start: str, end: str) -> Interval:
        """Build an interval from two ISO 8601 texts."""
        return cls(parse_instant(start), parse_instant(end))

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.start) / timedelta(days=1)

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def __str__(self) -> str:
        if self.start.time() == self.end.time() == datetime.min.time():
            return f"[{self.start:%Y-%m-%d}, {self.end:%Y-%m-%d})"
        return f"[{self.start:%Y-%m-%dT%H:%M:%SZ}, {self.end:%Y-%m-%dT%H:%M:%SZ})"


class Cadence(StrEnum):
    """How event time is cut into intervals, in UTC."""

    HOURLY = "@hourly"
    DAILY = "@daily"
    WEEKLY = "@weekly"
    MONTHLY = "@monthly"

    @property
    def cron(self) -> str:
        """The cron expression of the interval bounds (weeks start on Sunday, as cron has it)."""
        return {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}[self.value]

    def floor(self, instant: datetime) -> datetime:
        """The last interval bound at or before ``instant``."""
        utc = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self is Cadence.HOURLY:
            return utc
        midnight = utc.replace(hour=0)
        if self is Cadence.DAILY:
            return midnight
        if self is Cadence.WEEKLY:
            return midnight - timedelta(days=(midnight.weekday() + 1) % 7)
        return midnight.replace(day=1)

    def next(self, bound: datetime) -> datetime:
        """The interval bound after ``bound``."""
        if self is Cadence.MONTHLY:
            return self.floor(self.floor(bound) + timedelta(days=32))
        step = {"@hourly": timedelta(hours=1), "@daily": timedelta(days=1), "@weekly": timedelta(days=7)}[self.value]
        return self.floor(bound) + step

    def interval_starting(self, start: datetime) -> Interval:
        """The interval that begins at ``start``.

        Raises:
            IntervalError: ``start`` is not a bound of this cadence.
        """
        if self.floor(start) != start:
            raise IntervalError(
                f"{start.isoformat()} is not the start of a {self.value} interval; the one around it starts at "
                f"{self.floor(start).isoformat()}"
            )
        return Interval(start.astimezone(UTC), self.next(start))

    def intervals(self, span: Interval) -> tuple[Interval, ...]:
        """All whole intervals that touch ``span``, in order."""
        found = [self.interval_starting(self.floor(span.start))]
        while found[-1].end < span.end:
            found.append(self.interval_starting(found[-1].end))
        return tuple(found)
