"""Type of a label in Arrow, by task: a boolean, the name of a class, or a number."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.base.errors import TransformError
from noria.core.use_case import Task, UseCase
from noria.data.postgres.warehouse import quote

_MOST_NAMED = 5
_CASTS = {Task.BINARY_CLASSIFICATION: "", Task.MULTICLASS: "::text", Task.REGRESSION: "::double precision"}


def label_selection(use_case: UseCase) -> str:
    """Select expression of the label, called `label`, off a table called `l`."""
    return f"l.{quote(use_case.label.column)}{_CASTS[use_case.task]} as label"


def with_task_label(use_case: UseCase, rows: pa.Table) -> pa.Table:
    """The rows with `label` as the task has it; null where there is no label.

    Boolean (true where it is the positive class) for a binary classification, one of `label.classes` as text for several
    classes, a finite float64 for a number.

    Raises:
        TransformError: a label is not one of the classes, or not a finite number; names some of the values.
    """
    index, label = rows.column_names.index("label"), rows["label"]
    match use_case.task:
        case Task.BINARY_CLASSIFICATION:
            typed = _flags(use_case, label)
        case Task.MULTICLASS:
            typed = _classes(use_case, label.cast(pa.string()))
        case Task.REGRESSION:
            typed = _numbers(use_case, label.cast(pa.float64()))
    return rows.set_column(index, "label", typed)


def _flags(use_case: UseCase, label: pa.ChunkedArray) -> pa.ChunkedArray:
    positive = pa.scalar(use_case.label.positive)
    return pc.equal(label, positive if positive.type == label.type else positive.cast(label.type))


def _classes(use_case: UseCase, label: pa.ChunkedArray) -> pa.ChunkedArray:
    classes = use_case.label.classes
    strange = sorted(set(pc.unique(label).to_pylist()) - {None, *classes})
    if strange:
        raise TransformError(
            f"{_place(use_case)}: found {_some(strange)}, which label.classes does not list ({', '.join(classes)}); "
            "add it there, or mend the model"
        )
    return label


def _numbers(use_case: UseCase, label: pa.ChunkedArray) -> pa.ChunkedArray:
    strange = label.filter(pc.invert(pc.is_finite(label)))
    if len(strange):
        raise TransformError(
            f"{_place(use_case)}: found {_some(pc.unique(strange).to_pylist())} in {len(strange):,} rows, expected a finite "
            "number; give null where there is no label"
        )
    return label


def _place(use_case: UseCase) -> str:
    return f"labels.{use_case.label.model}, column {use_case.label.column}"


def _some(values: list[object]) -> str:
    more = f" and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
    return ", ".join(repr(value) for value in values[:_MOST_NAMED]) + more
