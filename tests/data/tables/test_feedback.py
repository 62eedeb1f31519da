"""Feedback counts once, late or repeated or contradicted, and only where the warehouse has no label."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.feedback import labels_from_feedback
from noria.data.tables.predictions import read_batch_predictions, replace_batch_predictions
from noria.testing.builders import a_use_case

DAY = Interval.parse("2024-03-01", "2024-03-02")
AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
DUE = DAY.end + timedelta(days=1)
ROWS = pa.table({"parcel_id": ["a", "b", "c"], "promised_at": pa.array([AT] * 3, pa.timestamp("us", "UTC"))})


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    return a_use_case(tmp_path)


def score(warehouse: Warehouse, use_case: UseCase) -> None:
    scores = np.array([0.75, 0.5, 0.25])
    replace_batch_predictions(warehouse, use_case, DAY, "3", ROWS, scores, scores >= 0.5)


def say(warehouse: Warehouse, label: str, at: datetime = AT, **about: Any) -> str:
    """One row of feedback; returns its id."""
    row = {"id": str(uuid.uuid4()), "use_case": "parcels", "prediction_id": None, "entity": None, "event_time": None}
    row |= {"label": label, "at": at, "received_at": at, **about}
    columns = ", ".join(row)
    with warehouse.transaction() as connection:
        connection.execute(
            text(f"insert into ops.feedback ({columns}) values ({', '.join(f':{name}' for name in row)})"), row
        )
    return str(row["id"])


def predict(warehouse: Warehouse, entity: str | None, use_case: str = "parcels") -> str:
    """One REST prediction; returns its id."""
    identity = str(uuid.uuid4())
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "insert into ops.predictions (id, use_case, version, requested_at, entity, features, score, decision, "
                "latency_ms) values (:id, :use_case, '3', :at, :entity, '{}', 0.5, 'true', 1)"
            ),
            {"id": identity, "use_case": use_case, "entity": entity, "at": AT},
        )
    return identity


def current(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.transaction() as connection:
        found = connection.execute(
            text("select entity, label, status, statements, conflicts from ops.current_feedback order by entity, label")
        )
        return [tuple(row) for row in found]


def labels(warehouse: Warehouse, use_case: UseCase, as_of: datetime | None = None) -> dict[str, Any]:
    found = labels_from_feedback(warehouse, use_case, DAY, as_of)
    assert found.column_names == ["parcel_id", "promised_at", "label"]
    return dict(zip(found["parcel_id"].to_pylist(), found["label"].to_pylist(), strict=True))


def test_the_same_said_twice_is_one_row(warehouse: Warehouse, use_case: UseCase) -> None:
    score(warehouse, use_case)
    say(warehouse, "true", entity="a")
    say(warehouse, "true", entity="a")
    assert current(warehouse) == [("a", "true", "matched", 2, 0)]
    assert labels(warehouse, use_case) == {"a": True}


def test_of_two_that_contradict_the_latest_at_wins_and_the_other_stays_visible(
    warehouse: Warehouse, use_case: UseCase
) -> None:
    score(warehouse, use_case)
    say(warehouse, "false", AT + timedelta(hours=30), entity="a")
    say(warehouse, "true", AT, entity="a", received_at=AT + timedelta(hours=5))
    assert current(warehouse) == [("a", "false", "matched", 2, 1)]
    assert labels(warehouse, use_case) == {"a": False}
    assert labels(warehouse, use_case, AT + timedelta(hours=25)) == {"a": True}, "as it was known then"
    say(warehouse, "true", AT + timedelta(hours=30), entity="a", received_at=AT + timedelta(hours=31))
    assert current(warehouse) == [("a", "true", "matched", 3, 1)], "of the same `at`, the one received last"


def test_an_unknown_prediction_is_kept_and_matched_when_it_arrives(warehouse: Warehouse, use_case: UseCase) -> None:
    score(warehouse, use_case)
    identity = predict(warehouse, "b", use_case="letters")
    say(warehouse, "true", prediction_id=identity)
    assert current(warehouse) == [(None, "true", "unmatched", 1, 0)], "an id of another use case is none of ours"
    assert labels(warehouse, use_case) == {}
    with warehouse.transaction() as connection:
        connection.execute(text("update ops.predictions set use_case = 'parcels'"))
    assert current(warehouse) == [("b", "true", "matched", 1, 0)]
    assert labels(warehouse, use_case) == {"b": True}


def test_what_is_said_of_a_prediction_and_of_its_entity_is_one_thing(warehouse: Warehouse, use_case: UseCase) -> None:
    score(warehouse, use_case)
    say(warehouse, "true", prediction_id=predict(warehouse, "c"))
    say(warehouse, "false", AT + timedelta(hours=1), entity="c")
    assert current(warehouse) == [("c", "false", "matched", 2, 1)]


def test_predictions_without_an_entity_are_kept_apart(warehouse: Warehouse, use_case: UseCase) -> None:
    for label in ("true", "false"):
        say(warehouse, label, prediction_id=predict(warehouse, None))
    assert current(warehouse) == [(None, "false", "matched", 1, 0), (None, "true", "matched", 1, 0)]


def test_an_entity_nobody_scored_is_unmatched_and_another_event_of_it_does_not_count(
    warehouse: Warehouse, use_case: UseCase
) -> None:
    score(warehouse, use_case)
    say(warehouse, "true", entity="z")
    say(warehouse, "true", entity="a", event_time=AT - timedelta(days=30))
    say(warehouse, "false", entity="b", event_time=AT)
    assert [row[:3] for row in current(warehouse)] == [
        ("a", "true", "matched"),
        ("b", "false", "matched"),
        ("z", "true", "unmatched"),
    ]
    assert labels(warehouse, use_case) == {"b": False}


def test_late_feedback_counts_from_then_on(warehouse: Warehouse, use_case: UseCase) -> None:
    score(warehouse, use_case)
    say(warehouse, "true", DUE + timedelta(days=40), entity="a")
    assert labels(warehouse, use_case) == {}, "a report that is made again stays the same"
    assert labels(warehouse, use_case, DUE + timedelta(days=41)) == {"a": True}


@pytest.mark.parametrize(
    ("task", "said", "label"),
    [
        ("multiclass", "lost", "lost"),
        ("multiclass", "stolen", None),
        ("regression", "-12.5", -12.5),
        ("regression", "lost", None),
    ],
)
def test_labels_are_those_of_the_task(warehouse: Warehouse, tmp_path: Path, task: str, said: str, label: Any) -> None:
    """A text that is no label of the task was said while the use case was another."""
    use_case = a_use_case(tmp_path / task, task=task)
    score(warehouse, a_use_case(tmp_path))
    say(warehouse, said, entity="a")
    assert labels(warehouse, use_case) == ({} if label is None else {"a": label})


def test_feedback_fills_what_the_warehouse_does_not_have_and_never_overrules_it(
    warehouse: Warehouse, use_case: UseCase
) -> None:
    score(warehouse, use_case)
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("create schema if not exists labels")
        connection.exec_driver_sql(
            "create table labels.lbl_parcels "
            "(parcel_id text, promised_at timestamptz, late boolean, label_known_at timestamptz)"
        )
        connection.exec_driver_sql(
            "insert into labels.lbl_parcels values ('a', '2024-03-01 12:00Z', false, '2024-03-01 13:00Z')"
        )
    say(warehouse, "true", entity="a")
    say(warehouse, "true", entity="b")
    found = read_batch_predictions(warehouse, use_case, DAY, DUE)
    assert found["label"].type == pa.bool_()
    assert found["label"].to_pylist() == [False, True, None]
