"""Batch predictions of the three tasks: what was decided comes back as text, beside the label that arrived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from noria.core.base.interval import Interval
from noria.core.use_case import Task, UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.predictions import read_batch_predictions, replace_batch_predictions
from noria.testing.builders import a_use_case

DAY = Interval.parse("2024-02-01", "2024-02-02")
AT = datetime(2024, 2, 1, 12, tzinfo=UTC)
LATER = datetime(2024, 2, 9, tzinfo=UTC)
CLASSES = ("on_time", "late", "lost")
ROWS = pa.table({"parcel_id": ["a", "b", "c"], "promised_at": pa.array([AT] * 3, pa.timestamp("us", "UTC"))})


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    return a_use_case(tmp_path)


def of_task(use_case: UseCase, task: Task) -> UseCase:
    classes = CLASSES if task is Task.MULTICLASS else ()
    return use_case.model_copy(update={"task": task, "label": use_case.label.model_copy(update={"classes": classes})})


def put_labels(warehouse: Warehouse, kind: str, labels: Sequence[Any]) -> None:
    """What dbt would have made; the label of `c` is not known yet."""
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "create table labels.lbl_parcels "
            f"(parcel_id text, promised_at timestamptz, late {kind}, label_known_at timestamptz)"
        )
        for parcel, label in zip("ab", labels, strict=True):
            connection.execute(
                text("insert into labels.lbl_parcels values (:parcel, :at, :label, :at)"),
                {"parcel": parcel, "at": AT, "label": label},
            )


def test_a_yes_or_no(warehouse: Warehouse, use_case: UseCase) -> None:
    put_labels(warehouse, "boolean", [True, False])
    scores = np.array([0.75, 0.5, 0.25])
    result = replace_batch_predictions(warehouse, use_case, DAY, "3", ROWS, scores, scores >= 0.5)
    found = read_batch_predictions(warehouse, use_case, DAY, LATER)
    assert found.column_names == ["parcel_id", "promised_at", "version", "score", "decision", "probabilities", "label"]
    assert found["score"].to_pylist() == [0.75, 0.5, 0.25]
    assert found["decision"].to_pylist() == ["true", "true", "false"]
    assert found["probabilities"].to_pylist() == [None] * 3
    assert found["label"].to_pylist() == [True, False, None]
    assert (result.version, result.rows) == ("3", 3)


def test_several_classes(warehouse: Warehouse, use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS)
    put_labels(warehouse, "varchar(8)", ["late", "lost"])
    scores = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.6, 0.3, 0.1]])
    replace_batch_predictions(warehouse, multiclass, DAY, "3", ROWS, scores, np.array([1, 2, 0]))
    found = read_batch_predictions(warehouse, multiclass, DAY, LATER)
    assert found["decision"].to_pylist() == ["late", "lost", "on_time"]
    assert found["score"].to_pylist() == [0.25, 0.75, 0.6], "the probability of the class decided on"
    assert json.loads(found["probabilities"][0].as_py()) == {"on_time": 0.5, "late": 0.25, "lost": 0.25}
    assert json.loads(found["probabilities"][2].as_py()) == {"on_time": 0.6, "late": 0.3, "lost": 0.1}
    assert found["label"].to_pylist() == ["late", "lost", None]


def test_the_order_of_classes_is_that_of_the_model(warehouse: Warehouse, use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS)
    put_labels(warehouse, "text", ["late", "lost"])
    scores = np.array([[0.5, 0.2, 0.3]] * 3)
    order = ("lost", "late", "on_time")
    replace_batch_predictions(warehouse, multiclass, DAY, "3", ROWS, scores, np.zeros(3, np.int64), order)
    found = read_batch_predictions(warehouse, multiclass, DAY, LATER)
    assert set(found["decision"].to_pylist()) == {"lost"}
    assert json.loads(found["probabilities"][0].as_py()) == {"lost": 0.5, "late": 0.2, "on_time": 0.3}


def test_a_number(warehouse: Warehouse, use_case: UseCase) -> None:
    regression = of_task(use_case, Task.REGRESSION)
    put_labels(warehouse, "numeric(6,2)", [12.5, -3])
    scores = np.array([0.1 + 0.2, -4.0, 1e-9])
    first = replace_batch_predictions(warehouse, regression, DAY, "3", ROWS, scores, scores)
    found = read_batch_predictions(warehouse, regression, DAY, LATER)
    assert found["score"].to_pylist() == scores.tolist()
    assert [float(decision) for decision in found["decision"].to_pylist()] == scores.tolist(), "nothing is rounded"
    assert found["label"].type == pa.float64()
    assert found["label"].to_pylist() == [12.5, -3.0, None]
    again = replace_batch_predictions(warehouse, regression, DAY, "4", ROWS, scores, scores)
    assert again.digest == first.digest
    assert len(read_batch_predictions(warehouse, regression, DAY, LATER)) == 3


def test_the_digest_sees_every_probability(warehouse: Warehouse, use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS)
    decisions = np.zeros(3, np.int64)
    digests = {
        replace_batch_predictions(warehouse, multiclass, DAY, "3", ROWS, np.array([row] * 3), decisions).digest
        for row in ([0.5, 0.2, 0.3], [0.5, 0.3, 0.2])
    }
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("shape", "decisions"), [((3, 2), 3), ((2, 3), 2), ((3, 3), 2)], ids=["a class short", "a row short", "a decision short"]
)
def test_what_does_not_fit_is_refused(
    warehouse: Warehouse, use_case: UseCase, shape: tuple[int, int], decisions: int
) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS)
    with pytest.raises(ValueError, match=r"do not fit 3 rows and classes on_time, late, lost"):
        replace_batch_predictions(warehouse, multiclass, DAY, "3", ROWS, np.ones(shape), np.zeros(decisions, np.int64))
