"""Of a busy use case a sample of the entities is read, over all the time of the rollout, for both versions alike."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from noria.data.tables.rollout_rows import read_rollout_rows
from noria.testing.builders import a_use_case

BEGAN = datetime(2024, 2, 1, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=4000)
MOST = 500


@pytest.fixture
def busy(warehouse, tmp_path):
    """A request a second about 4,000 parcels; the champion answers all, the challenger the later half in shadow mode."""
    rows = text(
        "insert into ops.predictions "
        "(id, use_case, version, requested_at, entity, features, score, decision, latency_ms, alias) "
        "select gen_random_uuid(), 'parcels', :version, cast(:began as timestamptz) + make_interval(secs => n), "
        "'P' || n, '{}', 0.5, 'true', 1, :alias from generate_series(cast(:first as integer), 3999) as n"
    )
    with warehouse.transaction() as connection:
        for version, first, alias in (("1", 0, "champion"), ("2", 2000, "shadow")):
            connection.execute(rows, {"version": version, "began": BEGAN, "first": first, "alias": alias})
    return a_use_case(tmp_path)


def sample(warehouse, use_case, most_rows):
    found = read_rollout_rows(warehouse, use_case, ("1", "2"), BEGAN, ENDED, most_rows=most_rows).to_pylist()
    return [[row for row in found if row["version"] == version] for version in "12"]


def test_sample_stands_for_all_requests_and_covers_all_the_time(warehouse, busy):
    champion, challenger = sample(warehouse, busy, MOST)
    for rows, requests, first in ((champion, 4000, 0), (challenger, 2000, 2000)):
        assert len(rows) <= 1.2 * MOST
        (weight,) = {row["stands_for"] for row in rows}
        assert len(rows) * weight == pytest.approx(requests, rel=0.15)
        seconds = np.array([(row["requested_at"] - BEGAN).total_seconds() for row in rows])
        assert seconds.mean() == pytest.approx((first + 4000) / 2, rel=0.1)
    assert {row["answered"] for row in champion} == {True}
    assert {row["answered"] for row in challenger} == {False}


def test_versions_share_the_entities_of_the_coarser_sample(warehouse, busy):
    champion, challenger = ({row["entity"] for row in rows} for rows in sample(warehouse, busy, MOST))
    later = {entity for entity in champion if int(entity[1:]) >= 2000}
    assert later <= challenger


def test_larger_sample_holds_the_smaller_one(warehouse, busy):
    small, large = (sample(warehouse, busy, most)[0] for most in (MOST, 4 * MOST))
    assert {row["entity"] for row in small} < {row["entity"] for row in large}
    assert len(sample(warehouse, busy, 4000)[0]) == 4000
