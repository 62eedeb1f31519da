"""Features that have not passed their checks reach neither training nor scoring."""

from datetime import UTC, datetime

import pytest

from noria.bootstrap import bootstrap
from noria.core.base.errors import QualityError
from noria.core.base.interval import Interval
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.quarantine import quarantine, quarantined, release
from noria.data.tables.snapshots import take_snapshot
from noria.jobs import scoring
from noria.settings import Settings
from noria.testing.builders import a_use_case

DAY = Interval.parse("2024-01-02", "2024-01-03")
WEEK = Interval.parse("2024-01-01", "2024-01-08")


@pytest.fixture
def warehouse(warehouse_url):
    warehouse = Warehouse(warehouse_url)
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "create table features.ftr_parcels as select 'p' || n as parcel_id,"
            " timestamptz '2024-01-01Z' + n * interval '1 hour' as promised_at, 1.0::float8 as weight, 9.0::float8 as hour,"
            " 'north' as depot from generate_series(0, 71) as n"
        )
        connection.exec_driver_sql(
            "create table labels.lbl_parcels as select parcel_id, promised_at, true as late, promised_at as label_known_at"
            " from features.ftr_parcels"
        )
    yield warehouse
    warehouse.close()


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path / "use_cases", training={"min_labels": 10})


def test_a_snapshot_leaves_an_interval_in_quarantine_out_until_it_has_passed(warehouse, use_case, tmp_path):
    as_of = datetime(2024, 2, 1, tzinfo=UTC)
    whole = take_snapshot(warehouse, use_case, as_of, tmp_path)
    quarantine(warehouse, use_case, DAY)
    quarantine(warehouse, use_case, DAY)
    assert take_snapshot(warehouse, use_case, as_of, tmp_path).rows == whole.rows - 24 == 48
    release(warehouse, use_case, DAY)
    assert take_snapshot(warehouse, use_case, as_of, tmp_path) == whole


def test_a_longer_stretch_stays_until_all_of_it_has_passed(warehouse, use_case):
    quarantine(warehouse, use_case, WEEK)
    release(warehouse, use_case, DAY)
    assert quarantined(warehouse, use_case, DAY) == (WEEK,)
    release(warehouse, use_case, WEEK)
    assert quarantined(warehouse, use_case, WEEK) == ()


def test_scoring_refuses_and_says_what_to_do(warehouse, use_case, tmp_path):
    quarantine(warehouse, use_case, DAY)
    services = bootstrap(Settings(home=tmp_path, use_cases=tmp_path / "use_cases", warehouse_url=warehouse.url))
    with pytest.raises(QualityError, match=r"\[2024-01-02, 2024-01-03\).*parcels__data"):
        scoring.score(services, use_case, WEEK)
    services.warehouse.close()
