"""Labels by task; another value is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from noria.core.base.errors import TransformError
from noria.core.use_case import Task, UseCase
from noria.data.tables.labels import with_task_label
from noria.testing.builders import a_use_case


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    return a_use_case(tmp_path)


def of_task(use_case: UseCase, task: Task, **label: Any) -> UseCase:
    """The use case with another task; the rest of it is not looked at here."""
    return use_case.model_copy(update={"task": task, "label": use_case.label.model_copy(update=label)})


def labelled(use_case: UseCase, values: pa.Array) -> pa.ChunkedArray:
    rows = pa.table({"id": pa.array([str(row) for row in range(len(values))]), "label": values})
    typed = with_task_label(use_case, rows)
    assert typed.column_names == ["id", "label"]
    return typed["label"]


@pytest.mark.parametrize(
    ("positive", "values"),
    [(True, pa.array([True, False, None])), (1, pa.array([1, 0, None], pa.int32())), ("y", pa.array(["y", "n", None]))],
)
def test_a_yes_or_no_is_true_where_it_is_the_positive_class(use_case: UseCase, positive: Any, values: pa.Array) -> None:
    binary = of_task(use_case, Task.BINARY_CLASSIFICATION, positive=positive)
    label = labelled(binary, values)
    assert label.type == pa.bool_()
    assert label.to_pylist() == [True, False, None]


def test_a_class_is_its_name(use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS, classes=("on_time", "late", "lost"))
    label = labelled(multiclass, pa.array(["late", None, "on_time"]))
    assert label.type == pa.string()
    assert label.to_pylist() == ["late", None, "on_time"]


def test_a_class_that_is_not_listed_is_named_with_its_column(use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS, classes=("on_time", "late", "lost"))
    message = (
        r"^labels\.lbl_parcels, column late: found 'stolen', which label\.classes does not list \(on_time, late, lost\); "
        "add it there, or mend the model$"
    )
    with pytest.raises(TransformError, match=message):
        labelled(multiclass, pa.array(["late", "stolen", None, "stolen"]))


def test_many_strange_classes_are_counted_not_listed(use_case: UseCase) -> None:
    multiclass = of_task(use_case, Task.MULTICLASS, classes=("on_time", "late", "lost"))
    with pytest.raises(TransformError, match=r"found 'x0', 'x1', 'x2', 'x3', 'x4' and 3 more, which"):
        labelled(multiclass, pa.array([f"x{row}" for row in range(8)]))


def test_a_number_is_a_double(use_case: UseCase) -> None:
    label = labelled(of_task(use_case, Task.REGRESSION), pa.array([3, None, -4], pa.int64()))
    assert label.type == pa.float64()
    assert label.to_pylist() == [3.0, None, -4.0]


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_label_that_is_no_number_is_an_error(use_case: UseCase, strange: float) -> None:
    with pytest.raises(TransformError, match=rf"column late: found {strange!r} in 1 rows, expected a finite number"):
        labelled(of_task(use_case, Task.REGRESSION), pa.array([1.5, None, strange]))
