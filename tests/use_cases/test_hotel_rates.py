"""hotel_rates: a number, from bookings whose prices become known months later."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from noria.core.base.errors import TransformError
from noria.core.base.interval import Interval
from noria.core.use_case import Task, UnitValue, UseCase
from noria.core.use_case.rule import Rule
from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.data.quality.validation import validate
from noria.data.tables.features import read_features
from noria.data.tables.snapshots import take_snapshot
from noria.data.transform.dbt_run import transform
from noria.io.catalog import load_use_case
from noria.local.postgres import PostgresServer
from tests.use_cases.building import PROJECT, build, changed, check_contracts, planted, rebuilt

FOLDER = PROJECT / "use_cases/hotel_rates"
SEPTEMBER = Interval.parse("2016-09-01", "2016-10-01")
OCTOBER = Interval.parse("2016-10-01", "2016-11-01")
CUTOFF = datetime(2016, 10, 16, tzinfo=UTC)
FEATURES = "models/features/hotel_rates/ftr_hotel_rates.sql"
ROLLING = "macros/rolling.sql"

# The library's own imports, on the first validation of a process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow"),
]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return load_use_case(FOLDER / "use_case.yaml")


@pytest.fixture(scope="module")
def built_database(postgres: PostgresServer, use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database in which the bookings of September and October 2016 are built."""
    postgres.create_database("hotel_rates")
    warehouse = Warehouse(postgres.url("hotel_rates"))
    migrate(warehouse)
    build(warehouse, use_case, (SEPTEMBER, OCTOBER), tmp_path_factory.mktemp("dbt"))
    warehouse.close()
    return "hotel_rates"


@pytest.fixture
def built(postgres: PostgresServer, built_database: str) -> Iterator[Warehouse]:
    """A copy of that database."""
    postgres.create_database("hotel_rates_copy", template=built_database)
    warehouse = Warehouse(postgres.url("hotel_rates_copy"))
    yield warehouse
    warehouse.close()
    postgres.drop_database("hotel_rates_copy")


def test_the_use_case_and_its_models_say_the_same(use_case: UseCase) -> None:
    check_contracts(use_case, "double precision")
    assert use_case.task is Task.REGRESSION
    assert isinstance(use_case.business.value, UnitValue)
    assert use_case.privacy["agent"] == "pseudonymise"


def test_what_the_hotel_learns_after_the_booking_is_no_feature(use_case: UseCase) -> None:
    staging = (PROJECT / "dbt_project/models/staging/hotel_rates/stg_hotel_rates__bookings.sql").read_text()
    sql = "\n".join(line for line in staging.splitlines() if not line.lstrip().startswith("--"))
    late = ("assigned_room_type", "booking_changes", "days_in_waiting_list", "required_car", "special_requests", "country")
    assert not [name for name in late if name in sql]


def test_the_file_is_what_its_readme_says() -> None:
    with gzip.open(FOLDER / "data/bookings.csv.gz") as stream:
        rows = pa_csv.read_csv(stream)
    assert len(rows) == 15_402
    assert len(pc.unique(rows["booking_number"])) == len(rows)
    assert rows["booked_on"].to_pylist() == sorted(rows["booked_on"].to_pylist())
    days = [timedelta(days=lead) for lead in rows["lead_time"].to_pylist()]
    assert rows["booked_on"].to_pylist() == [
        arrival - lead for arrival, lead in zip(rows["arrival_date"].to_pylist(), days, strict=True)
    ]
    assert pc.min(rows["arrival_date"]).as_py() >= date(2016, 7, 1)


def test_the_lookback_reaches_every_price_of_the_longest_window(use_case: UseCase) -> None:
    with gzip.open(FOLDER / "data/bookings.csv.gz") as stream:
        rows = pa_csv.read_csv(stream)
    nights = pc.add(rows["stays_in_weekend_nights"], rows["stays_in_week_nights"])
    until_known = pc.max(pc.add(pc.add(rows["lead_time"], nights), 1)).as_py()
    assert use_case.features.lookback >= timedelta(days=400 + until_known)


def test_rows_are_those_of_the_bookings_and_meet_the_expectations(built: Warehouse, use_case: UseCase) -> None:
    rows = read_features(built, use_case, OCTOBER)
    assert len(rows) == 1236
    assert rows["room_type_price_30d"].null_count < 0.05 * len(rows)
    agents = {agent for agent in rows["agent"].to_pylist() if agent}
    assert len(agents) > 10
    assert all(len(agent) == 32 for agent in agents), "pseudonyms, no names"
    for stage in ("raw", "features"):
        assert validate(built, use_case, FOLDER, OCTOBER, stage).expectations > 5  # type: ignore[arg-type]  # both are literals


def test_a_training_set_has_prices_of_guests_who_have_left(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    small = use_case.model_copy(update={"training": use_case.training.model_copy(update={"min_labels": 10})})
    as_of = datetime(2016, 11, 15, tzinfo=UTC)
    snapshot = take_snapshot(built, small, as_of, tmp_path)
    rows = pq.read_table(snapshot.path)
    assert rows["label"].type == pa.float64()
    assert 100 < len(rows) == snapshot.rows < len(read_features(built, use_case, SEPTEMBER)) + 1236
    assert snapshot.positives == 0, "a number is not yes or no"
    known = built.read_arrow("select booking_number, label_known_at from labels.lbl_hotel_rates")
    known_at = dict(zip(known["booking_number"].to_pylist(), known["label_known_at"].to_pylist(), strict=True))
    assert max(known_at[number] for number in rows["booking_number"].to_pylist()) <= as_of
    assert take_snapshot(built, small, as_of, tmp_path) == snapshot


def test_todays_rule_prices_every_booking(built: Warehouse, use_case: UseCase) -> None:
    rows = read_features(built, use_case, OCTOBER)
    rule = Rule(use_case.business.baseline)
    quoted = np.array([rule.value(row) for row in rows.to_pylist()], dtype=np.float64)
    assert np.isfinite(quoted).all()
    assert 40 < quoted.min() < quoted.max() < 300


def rewrite_the_future(warehouse: Warehouse) -> int:
    """Give every price that became known after the cutoff another value."""
    left = "arrival_date::date + (stays_in_weekend_nights + stays_in_week_nights)::int + 1"
    with warehouse.transaction() as connection:
        return connection.execute(
            text(f"update raw.hotel_rates__bookings set avg_price_per_room = 900 where {left} > :cutoff"),
            {"cutoff": CUTOFF.date()},
        ).rowcount


def test_the_future_does_not_reach_a_feature(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    before = read_features(built, use_case, OCTOBER).to_pylist()
    assert rewrite_the_future(built) > 1000
    after = rebuilt(built, use_case, OCTOBER, tmp_path, PROJECT / "dbt_project")
    in_past, later = changed(before, after, use_case.event_time, CUTOFF)
    assert later > 300, "the future was rewritten, and later bookings see it"
    assert in_past == 0


def test_a_planted_leak_shows_when_the_future_is_rewritten(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    leaky = planted(tmp_path, ROLLING, "preceding and current row", "preceding and interval '1 day' following")
    before = rebuilt(built, use_case, OCTOBER, tmp_path / "state", leaky)
    rewrite_the_future(built)
    after = rebuilt(built, use_case, OCTOBER, tmp_path / "state", leaky)
    in_past, _ = changed(before, after, use_case.event_time, CUTOFF)
    assert in_past > 0


@pytest.mark.parametrize(
    ("file", "honest", "leak", "check"),
    [
        (ROLLING, "preceding and current row", "preceding and interval '1 day' following", "ftr_hotel_rates_recomputed"),
        (ROLLING, "over (partition by {{ keys }} order by at)", "over (partition by {{ keys }})", "known_in_time"),
        (FEATURES, "('price', bookings.price_known_at)", "('price', bookings.booked_at)", "ftr_hotel_rates_recomputed"),
    ],
    ids=["a window that looks ahead", "a window without an end", "prices known when booked"],
)
def test_dbt_finds_a_planted_leak(
    built: Warehouse, use_case: UseCase, tmp_path: Path, file: str, honest: str, leak: str, check: str
) -> None:
    leaky = planted(tmp_path, file, honest, leak, checks=["ftr_hotel_rates_recomputed"])
    with pytest.raises(TransformError, match=rf"{check}.*rows fail"):
        transform(built, use_case, OCTOBER, leaky, tmp_path / "state")
