"""An evaluated candidate of each task, made without a search: least squares on the made-up parcels, explained exactly."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.base.interval import Interval
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.model.decision import policy_of
from noria.core.model.value import best_threshold
from noria.core.use_case import Task, UseCase
from noria.inference.predictor import baseline_predictor
from noria.testing.builders import a_use_case, use_case_fields
from noria.testing.snapshots import LABELS, OUTCOMES, made_up_columns
from noria.training.data.dataset import Fold, TrainingSet
from noria.training.evaluation.input import EvaluationInput, ExportFacts
from noria.training.evaluation.report import evaluate

EXPORT = ExportFacts(parity=1e-7, size_mb=1.5, latency_ms=0.2)
MULTICLASS_VALUE = {
    "on_time": {"on_time": 0, "late": -4, "lost": -12},
    "late": {"on_time": -3, "late": 2, "lost": -11},
    "lost": {"on_time": -9, "late": -5, "lost": 10},
}
BUSINESS: dict[Task, dict[str, Any]] = {
    Task.BINARY_CLASSIFICATION: {},
    Task.MULTICLASS: {"value": MULTICLASS_VALUE, "baseline": "'late' if hour >= 18 else 'on_time'"},
    Task.REGRESSION: {"value": {"over": -1.0, "under": -2.5}, "baseline": "first(weight + 15, 20)"},
}
GATES = {
    Task.BINARY_CLASSIFICATION: "roc_auc",
    Task.MULTICLASS: "accuracy",
    Task.REGRESSION: "mae",
}


def parcels_of(root: Path, task: Task, **changes: Any) -> UseCase:
    """The small use case for a task, with gates that compare."""
    plain = use_case_fields()
    label = {"model": "lbl_parcels", "column": LABELS[task], "available_after": "1d"}
    if task is Task.MULTICLASS:
        label["classes"] = list(OUTCOMES)
    metric = GATES[task]
    worst = "worst_segment_at_most" if metric == "mae" else "worst_segment_at_least"
    fields = {
        "task": str(task),
        "label": label,
        "features": plain["features"] | {"categorical": {"depot": {"description": "Depot it leaves from"}, "street": {}}},
        "business": plain["business"] | BUSINESS[task],
        "training": {"test_window": "20d"},
        "protected": ["depot"],
        "gates": [{"metric": metric, "better_than": "baseline"}, {"metric": metric, worst: 0.1}],
    }
    return a_use_case(root, **{**fields, **changes})


def training_set(task: Task, rows: int = 8000, **extra: Any) -> TrainingSet:
    """Made-up parcels in memory; `extra` adds or replaces columns."""
    columns = made_up_columns(rows) | extra
    times = np.array([int(when.timestamp() * 1e6) for when in columns["promised_at"]], dtype=np.int64)
    found = columns[LABELS[task]]
    labels = np.array([OUTCOMES.index(name) for name in found]) if task is Task.MULTICLASS else np.asarray(found)
    features = {name: values for name, values in columns.items() if name not in (*LABELS.values(), "promised_at")}
    return TrainingSet(features, labels, times)


def fold_of(rows: TrainingSet, days: int = 30) -> Fold:
    """The last days against everything before them."""
    end = datetime.fromtimestamp(int(rows.times[-1]) / 1e6, UTC) + timedelta(microseconds=1)
    start = end - timedelta(days=days)
    return Fold(rows.between(None, start - timedelta(days=1)), rows.between(start, end), Interval(start, end))


@dataclass(frozen=True)
class LeastSquares:
    """A pipeline: coefficients of numbers and of depots."""

    use_case: UseCase
    fitted_to: list[TrainingSet] = field(default_factory=list)

    def fit(self, rows: TrainingSet) -> "Fitted":
        self.fitted_to.append(rows)
        design, _ = _design(self.use_case, rows)
        targets = rows.labels.astype(float)
        if self.use_case.task is Task.MULTICLASS:
            targets = np.eye(len(self.use_case.label.classes))[rows.labels]
        center = design.mean(axis=0)
        coefficients = np.linalg.lstsq(design - center, targets - targets.mean(axis=0), rcond=1e-9)[0]
        return Fitted(self.use_case, center, coefficients, targets.mean(axis=0))


@dataclass(frozen=True)
class Fitted:
    """A model: a linear map, cut to probabilities where it must be."""

    use_case: UseCase
    center: Any
    coefficients: Any
    level: Any

    def score(self, rows: TrainingSet) -> Any:
        raw = (_design(self.use_case, rows)[0] - self.center) @ self.coefficients + self.level
        if self.use_case.task is Task.REGRESSION:
            return raw
        cut = np.clip(raw, 0.01, 0.99)
        return cut / cut.sum(axis=1, keepdims=True) if self.use_case.task is Task.MULTICLASS else cut

    def contributions(self, rows: TrainingSet) -> Any:
        design, owners = _design(self.use_case, rows)
        moved = (design - self.center)[:, :, None] * self.coefficients.reshape(len(owners), -1)
        chosen = (
            moved[:, :, 0]
            if moved.shape[2] == 1
            else np.take_along_axis(moved, self.score(rows).argmax(axis=1)[:, None, None], axis=2)[:, :, 0]
        )
        return np.stack([chosen[:, owners == name].sum(axis=1) for name in self.use_case.features.names], axis=1)


def _design(use_case: UseCase, rows: TrainingSet) -> tuple[Any, Any]:
    parts, owners = [], []
    for name in use_case.features.numeric:
        parts.append(np.nan_to_num(rows.columns[name], nan=10.0))
        owners.append(name)
    for name in use_case.features.categorical:
        values = list(rows.columns[name])
        for known in ("north", "south", "harbour"):
            parts.append(np.array([float(value == known) for value in values]))
            owners.append(name)
    return np.stack(parts, axis=1), np.array(owners)


def evaluated_candidate(use_case: UseCase, rows: TrainingSet, **changes: Any) -> EvaluationInput:
    """Least squares on the last days, compared with the baseline as baseline and as champion."""
    fold, pipeline = fold_of(rows), LeastSquares(use_case)
    model = pipeline.fit(fold.training)
    rule = baseline_predictor(use_case)
    value = use_case.business.value
    binary = use_case.task is Task.BINARY_CLASSIFICATION
    fields: dict[str, Any] = {
        "fold": fold,
        "policy": policy_of(use_case, best_threshold(value) if binary else 0.5),
        "scores": model.score(fold.validation),
        "model": model,
        "pipeline": pipeline,
        "references": (("baseline", "0", rule), ("champion", "0", rule)),
    }
    return EvaluationInput(**{**fields, **changes})


def evaluated(
    root: Path, task: Task = Task.BINARY_CLASSIFICATION, rows: int = 4000, **changes: Any
) -> tuple[EvaluationInput, EvaluationReport]:
    """A candidate and its report; `changes` are those of the use case."""
    use_case = parcels_of(root, task, **changes)
    candidate = evaluated_candidate(use_case, training_set(task, rows))
    return candidate, evaluate(use_case, candidate, EXPORT)
