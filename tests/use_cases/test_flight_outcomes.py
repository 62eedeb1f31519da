"""flight_outcomes: one of three classes, six hours ahead; built over the two days of a blizzard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from noria.core.base.errors import TransformError
from noria.core.base.interval import Cadence, Interval
from noria.core.use_case import Task, UseCase
from noria.core.use_case.rule import Rule
from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.data.quality.validation import validate
from noria.data.tables.features import read_features, read_labels
from noria.data.tables.snapshots import take_snapshot
from noria.data.transform.dbt_run import transform
from noria.io.catalog import load_use_case
from noria.local.postgres import PostgresServer
from tests.use_cases.building import PROJECT, build, changed, check_contracts, planted, rebuilt

FOLDER = PROJECT / "use_cases/flight_outcomes"
BLIZZARD = Interval.parse("2013-02-08", "2013-02-10")
CUTOFF = datetime(2013, 2, 8, 16, tzinfo=UTC)
"""All that became known after this instant is the future."""
ROLLING = "macros/rolling.sql"
STAGING = "models/staging/flight_outcomes/stg_flight_outcomes__flights.sql"

# The library's own imports, on the first validation of a process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow"),
]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    """The shipped use case, cut into days."""
    shipped = load_use_case(FOLDER / "use_case.yaml")
    return shipped.model_copy(update={"schedule": shipped.schedule.model_copy(update={"data": Cadence.DAILY})})


@pytest.fixture(scope="module")
def built_database(postgres: PostgresServer, use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database in which the flights of the blizzard are built."""
    postgres.create_database("flight_outcomes")
    warehouse = Warehouse(postgres.url("flight_outcomes"))
    migrate(warehouse)
    build(warehouse, use_case, (BLIZZARD,), tmp_path_factory.mktemp("dbt"))
    warehouse.close()
    return "flight_outcomes"


@pytest.fixture
def built(postgres: PostgresServer, built_database: str) -> Iterator[Warehouse]:
    """A copy of that database."""
    postgres.create_database("flight_outcomes_copy", template=built_database)
    warehouse = Warehouse(postgres.url("flight_outcomes_copy"))
    yield warehouse
    warehouse.close()
    postgres.drop_database("flight_outcomes_copy")


def test_the_use_case_and_its_models_say_the_same(use_case: UseCase) -> None:
    check_contracts(use_case, "text")
    assert use_case.task is Task.MULTICLASS
    assert use_case.label.classes == ("on_time", "late", "cancelled")
    assert use_case.privacy["tailnum"] == "drop"


def test_each_plan_is_the_best_one_for_what_it_plans_for(use_case: UseCase) -> None:
    value = use_case.business.value
    assert isinstance(value, dict)
    for actual in use_case.label.classes:
        assert max(value, key=lambda decided: value[decided][actual]) == actual


def test_rows_are_those_of_the_schedule_and_meet_the_expectations(built: Warehouse, use_case: UseCase) -> None:
    rows = read_features(built, use_case, BLIZZARD)
    assert len(rows) == built.read_arrow("select count(*) as rows from labels.lbl_flight_outcomes")["rows"][0].as_py() > 1300
    assert "tailnum" not in built.read_arrow("select * from raw.flight_outcomes__flights limit 1").column_names
    for stage in ("raw", "features"):
        assert validate(built, use_case, FOLDER, BLIZZARD, stage).expectations > 5  # type: ignore[arg-type]  # both are literals


def test_a_blizzard_shows_in_labels_features_and_todays_rule(built: Warehouse, use_case: UseCase) -> None:
    labels = read_labels(built, use_case, BLIZZARD, BLIZZARD.end + timedelta(days=2))
    outcomes = Counter(labels["label"].to_pylist())
    assert set(outcomes) == {"on_time", "late", "cancelled"}
    assert outcomes["cancelled"] > 500
    rows = read_features(built, use_case, BLIZZARD)
    assert pc.max(rows["origin_not_left_24h"]).as_py() > 0.5
    rule = Rule(use_case.business.baseline)
    decided = Counter(str(rule.value(row)) for row in rows.to_pylist())
    assert set(decided) == {"on_time", "late", "cancelled"}


def test_a_training_set_has_outcomes_beyond_doubt(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    small = use_case.model_copy(update={"training": use_case.training.model_copy(update={"min_labels": 10})})
    as_of = datetime(2013, 2, 11, tzinfo=UTC)
    snapshot = take_snapshot(built, small, as_of, tmp_path)
    rows = pq.read_table(snapshot.path)
    assert set(rows["label"].to_pylist()) == set(use_case.label.classes)
    assert pc.max(rows["scheduled_departure"]).as_py() <= as_of - use_case.label.available_after
    assert snapshot.positives == 0, "a class is not yes or no"
    assert take_snapshot(built, small, as_of, tmp_path) == snapshot


def rewrite_the_future(warehouse: Warehouse) -> int:
    """Give everything that became known after the cutoff another value, still after the cutoff."""
    scheduled = "(time_hour + make_interval(mins => minute::int))"
    left = f"({scheduled} + make_interval(mins => dep_delay::int))"
    with warehouse.transaction() as connection:
        # Had not left by the cutoff, nor, for those due three hours after schedule, could anyone have missed it by then.
        flights = connection.execute(
            text(
                "update raw.flight_outcomes__flights set dep_delay = 1000, arr_delay = -30 "
                f"where {left} > :cutoff and {scheduled} > :due or dep_delay is null and {scheduled} > :due"
            ),
            {"cutoff": CUTOFF, "due": CUTOFF - timedelta(hours=3)},
        )
        # On their way or just there: when they left is known, what became of them is not beyond doubt.
        outcomes = connection.execute(
            text(
                "update raw.flight_outcomes__flights set arr_delay = 500 - arr_delay "
                f"where {left} <= :cutoff and {left} > :arrived"
            ),
            {"cutoff": CUTOFF, "arrived": CUTOFF - timedelta(hours=15)},
        )
        weather = connection.execute(
            text(
                "update raw.flight_outcomes__weather set temp = 119, precip = 9, visib = 0 "
                "where time_hour + interval '1 hour' > :cutoff"
            ),
            {"cutoff": CUTOFF},
        )
    assert min(outcomes.rowcount, weather.rowcount) > 40
    return flights.rowcount


def test_the_future_does_not_reach_a_feature(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    before = read_features(built, use_case, BLIZZARD).to_pylist()
    assert rewrite_the_future(built) > 100
    after = rebuilt(built, use_case, BLIZZARD, tmp_path, PROJECT / "dbt_project")
    in_past, later = changed(before, after, use_case.event_time, CUTOFF + use_case.known_before)
    assert later > 100, "the future was rewritten, and later questions see it"
    assert in_past == 0


def test_a_planted_leak_shows_when_the_future_is_rewritten(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    leaky = planted(tmp_path, ROLLING, "preceding and current row", "preceding and interval '6 hours' following")
    before = rebuilt(built, use_case, BLIZZARD, tmp_path / "state", leaky)
    rewrite_the_future(built)
    after = rebuilt(built, use_case, BLIZZARD, tmp_path / "state", leaky)
    in_past, _ = changed(before, after, use_case.event_time, CUTOFF + use_case.known_before)
    assert in_past > 0


@pytest.mark.parametrize(
    ("file", "honest", "leak", "check"),
    [
        (
            *(ROLLING, "preceding and current row", "preceding and interval '1 hour' following"),
            "ftr_flight_outcomes_recomputed",
        ),
        (ROLLING, "over (partition by {{ keys }} order by at)", "over (partition by {{ keys }})", "known_in_time"),
        (STAGING, "scheduled_departure + interval '24 hours'", "scheduled_departure", "ftr_flight_outcomes_recomputed"),
    ],
    ids=["a window that looks ahead", "a window without an end", "cancellations known at schedule"],
)
def test_dbt_finds_a_planted_leak(
    built: Warehouse, use_case: UseCase, tmp_path: Path, file: str, honest: str, leak: str, check: str
) -> None:
    leaky = planted(tmp_path, file, honest, leak, checks=["ftr_flight_outcomes_recomputed"])
    with pytest.raises(TransformError, match=rf"{check}.*rows fail"):
        transform(built, use_case, BLIZZARD, leaky, tmp_path / "state")
