"""Predictions and labels as one column each, which can be compared and drawn like a feature.

| task | predictions | labels |
| --- | --- | --- |
| binary classification | `score`, the probability of yes | yes or no |
| multiclass | `decision`, the class decided on | the class |
| regression | `prediction`, the number | the number |
"""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.assessment.rows import ScoredRows
from noria.core.model.signature import Field, Kind
from noria.core.use_case import Task, UseCase

_PREDICTIONS = {
    Task.BINARY_CLASSIFICATION: Field(name="score", kind=Kind.NUMERIC),
    Task.MULTICLASS: Field(name="decision", kind=Kind.CATEGORICAL),
    Task.REGRESSION: Field(name="prediction", kind=Kind.NUMERIC),
}
Values = Sequence[float] | Sequence[str]


def prediction_field(use_case: UseCase) -> Field:
    """Name, kind and unit of the column of predictions."""
    return _PREDICTIONS[use_case.task].model_copy(update={"unit": use_case.label.unit})


def prediction_values(use_case: UseCase, rows: ScoredRows) -> Values:
    """The column of predictions."""
    if use_case.task.is_multiclass:
        return [use_case.label.classes[index] for index in rows.decisions.tolist()]
    return list(rows.scores.tolist())


def label_field(use_case: UseCase) -> Field:
    """Name, kind and unit of the column of labels."""
    kind = Kind.NUMERIC if use_case.task.is_regression else Kind.CATEGORICAL
    return Field(name=use_case.label.column, kind=kind, unit=use_case.label.unit)


def label_values(use_case: UseCase, rows: ScoredRows) -> Values:
    """The column of labels; meaningless where none has arrived."""
    if use_case.task.is_regression:
        return list(rows.labels.tolist())
    words = use_case.label.classes if use_case.task.is_multiclass else ("no", "yes")
    return [words[index] for index in rows.labels.tolist()]
