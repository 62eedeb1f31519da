"""What the tests of this room share: three intervals of the slice, a key, an instant, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from noria.core.base.interval import Interval

NOW = datetime(2013, 2, 1, tzinfo=UTC)
KEY = "a key that only the tests know"
FIRST = Interval.parse("2013-01-08", "2013-01-10")
SECOND = Interval.parse("2013-01-10", "2013-01-12")
THIRD = Interval.parse("2013-01-12", "2013-01-14")


def wait_until(condition: Callable[[], bool], patience: float = 120) -> None:
    """Wait for something that another process does; fails when it does not come."""
    for _ in range(int(patience / 0.05)):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")
