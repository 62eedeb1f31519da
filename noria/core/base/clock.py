"""The only way to ask for the time: what depends on it takes a clock, so that tests and replays set it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the present instant, UTC."""

    def now(self) -> datetime:
        """The present instant."""
        ...
