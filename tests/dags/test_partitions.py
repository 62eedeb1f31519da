"""Intervals and as-of dates as partition keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.errors import IntervalError
from noria.core.base.interval import Cadence, Interval
from noria.core.use_case import Schedule
from noria_airflow.as_of import resolve_as_of
from noria_airflow.partitions import DatasetIntervals, key_of

ENDED = Schedule(data=Cadence.MONTHLY, train="0 6 2 * *", start=date(2013, 1, 1), end=date(2014, 1, 1))
GOING_ON = Schedule(data=Cadence.MONTHLY, train="0 6 2 * *", start=date(2013, 1, 1))
NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)


@given(st.sampled_from(list(Cadence)), st.integers(946_684_800, 4_102_444_800))
def test_a_key_names_its_interval(cadence: Cadence, seconds: int) -> None:
    interval = cadence.interval_starting(cadence.floor(datetime.fromtimestamp(seconds, UTC)))
    span = DatasetIntervals(cadence, datetime(1999, 1, 3, tzinfo=UTC), None)
    assert span.interval_of(key_of(interval.start, cadence)) == interval


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (None, "trigger it with one"),
        ("", "trigger it with one"),
        ("May", "not of the form 2013-05-01"),
        ("2013-5-1", "must be written '2013-05-01'"),
        ("2013-05-02", "the one around it starts at 2013-05-01"),
        ("2012-12-01", "starts on 2013-01-01 and ends before 2014-01-01"),
        ("2014-01-01", "starts on 2013-01-01 and ends before 2014-01-01"),
    ],
)
def test_a_wrong_key_says_what_is_wrong(key: str | None, says: str) -> None:
    with pytest.raises(IntervalError, match=says):
        DatasetIntervals.of(ENDED).interval_of(key)


def test_a_data_set_that_ends_within_an_interval_has_that_interval() -> None:
    span = DatasetIntervals.of(ENDED.model_copy(update={"end": date(2013, 12, 15)}))
    assert span.interval_of("2013-12-01") == Interval.parse("2013-12-01", "2014-01-01")


def test_what_is_not_over_is_not_among_the_intervals() -> None:
    found = list(DatasetIntervals.of(GOING_ON).between(datetime(2026, 9, 15, tzinfo=UTC), NOW, NOW))
    assert [str(interval) for interval in found] == ["[2026-10-01, 2026-11-01)"]


def test_both_ends_of_the_asked_range_count() -> None:
    found = list(
        DatasetIntervals.of(GOING_ON).between(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC), NOW)
    )
    assert [interval.start.month for interval in found] == [1, 2, 3, 4, 5, 6]


def test_a_span_survives_serialization() -> None:
    for schedule in (ENDED, GOING_ON):
        assert DatasetIntervals.deserialize(DatasetIntervals.of(schedule).serialize()) == DatasetIntervals.of(schedule)


@pytest.mark.parametrize(
    ("schedule", "chosen", "key", "reasons", "as_of", "why"),
    [
        (ENDED, "2013-05-01", "2013-06-01", ("2 of 3",), "2013-05-01", "as of a date chosen by hand"),
        (ENDED, None, "2013-06-01", ("2 of 3",), "2013-06-01", "2 of 3"),
        (ENDED, None, "2013-06-01", (), "2013-06-01", "planned"),
        (ENDED, None, None, (), "2014-01-01", "started by hand"),
        (GOING_ON, None, None, (), "2026-11-01", "started by hand"),
    ],
)
def test_up_to_when_training_looks(
    schedule: Schedule, chosen: str | None, key: str | None, reasons: tuple[str, ...], as_of: str, why: str
) -> None:
    found = resolve_as_of(schedule, chosen=chosen, key=key, reasons=reasons, run_after=NOW)
    assert (found.instant.date().isoformat(), found.reason) == (as_of, why)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ("2013-01-01", "nothing is known"),
        ((NOW + timedelta(days=1)).date().isoformat(), "has not come yet"),
        ("soon", "not a date"),
    ],
)
def test_training_refuses_a_date_without_a_past(chosen: str, says: str) -> None:
    with pytest.raises(IntervalError, match=says):
        resolve_as_of(GOING_ON, chosen=chosen, key=None, reasons=(), run_after=NOW)
