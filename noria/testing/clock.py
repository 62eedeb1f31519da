"""Clocks for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MAY = datetime(2024, 5, 1, tzinfo=UTC)
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class ManualClock:
    """A clock that stands still until a test moves it.

    Attributes:
        instant: the time that it shows.
    """

    def __init__(self, instant: datetime = NOON) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The time that it shows."""
        return self.instant

    def advance(self, **time: float) -> None:
        """Move it: `advance(minutes=2)`."""
        self.instant += timedelta(**time)


class TickingClock(ManualClock):
    """A clock that goes on by a second at each call."""

    def __init__(self, instant: datetime = MAY) -> None:
        super().__init__(instant)

    def now(self) -> datetime:
        """A second after the call before."""
        self.advance(seconds=1)
        return self.instant
