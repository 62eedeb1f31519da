from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.errors import IntervalError
from noria.core.base.interval import Cadence, Interval, parse_instant

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - strategy bounds


def test_an_interval_is_half_open():
    interval = Interval.parse("2013-01-01", "2013-02-01")
    assert parse_instant("2013-01-01") in interval
    assert parse_instant("2013-02-01") not in interval
    assert str(interval) == "[2013-01-01, 2013-02-01)"


def test_bounds_are_utc_for_any_zone():
    assert Interval.parse("2013-01-01T00:00:00-05:00", "2013-01-02").start == datetime(2013, 1, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end"), [("2013-02-01", "2013-01-01"), ("2013-01-01", "2013-01-01"), ("soon", "2013-01-01")]
)
def test_an_empty_or_unreadable_interval_is_refused(start, end):
    with pytest.raises(IntervalError):
        Interval.parse(start, end)


def test_a_naive_bound_is_refused():
    with pytest.raises(IntervalError, match="time zone"):
        Interval(datetime(2013, 1, 1), datetime(2013, 2, 1, tzinfo=UTC))  # noqa: DTZ001 - the point of the test


@given(instant=INSTANTS, cadence=st.sampled_from(Cadence))
def test_every_instant_lies_in_exactly_one_interval_of_a_cadence(instant, cadence):
    interval = cadence.interval_starting(cadence.floor(instant))
    assert instant in interval
    assert cadence.floor(interval.end) == interval.end
    assert cadence.floor(interval.end - timedelta(microseconds=1)) == interval.start


def test_intervals_cover_a_span_without_gap():
    months = Cadence.MONTHLY.intervals(Interval.parse("2013-01-15", "2013-06-01"))
    assert [interval.start.month for interval in months] == [1, 2, 3, 4, 5]
    assert all(left.end == right.start for left, right in pairwise(months))


def test_a_start_off_the_cadence_is_refused_with_the_right_one():
    with pytest.raises(IntervalError, match="2013-01-01T00:00:00"):
        Cadence.MONTHLY.interval_starting(parse_instant("2013-01-15"))
