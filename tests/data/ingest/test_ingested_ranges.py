from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.interval import Interval
from noria.data.ingest.ingested_ranges import gaps, remainders

ORIGIN = datetime(2013, 1, 1, tzinfo=UTC)


def days(start: int, end: int) -> Interval:
    return Interval(ORIGIN + timedelta(days=start), ORIGIN + timedelta(days=end))


intervals = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: days(pair[0], pair[0] + pair[1]))


def covered_days(stretches: tuple[Interval, ...] | list[Interval]) -> set[int]:
    return {day for day in range(60) for stretch in stretches if ORIGIN + timedelta(days=day) in stretch}


@given(st.lists(intervals, max_size=5), intervals)
def test_gaps_and_stretches_together_cover_the_window_exactly_once(stretches: list[Interval], window: Interval) -> None:
    found = gaps(stretches, window)
    assert covered_days(found) == covered_days([window]) - covered_days(stretches)
    assert sum(gap.days for gap in found) == len(covered_days(found))


@given(intervals, intervals)
def test_remainders_are_what_lies_outside(stretch: Interval, replaced: Interval) -> None:
    assert covered_days(remainders(stretch, replaced)) == covered_days([stretch]) - covered_days([replaced])
