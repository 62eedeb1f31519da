"""What the tests of this room share: three intervals of the slice, a key, and an instant."""

from __future__ import annotations

from datetime import UTC, datetime

from noria.core.base.interval import Interval

NOW = datetime(2013, 2, 1, tzinfo=UTC)
KEY = "a key that only the tests know"
FIRST = Interval.parse("2013-01-08", "2013-01-10")
SECOND = Interval.parse("2013-01-10", "2013-01-12")
THIRD = Interval.parse("2013-01-12", "2013-01-14")
