"""Parcels that never were: features, what a model says of them, and what came, for each of the three tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.assessment.rows import Reference, ScoredRows
from noria.core.base.interval import Interval
from noria.core.lifecycle.evaluation import EvaluationReport, SegmentMetrics
from noria.core.metrics.measure import measure_predictions
from noria.core.model.bundle import EVALUATION, REFERENCE, Manifest, Provenance, declared_signature, sha256
from noria.core.model.decision import Decisions, Labels, Scores, policy_of
from noria.core.use_case import Task, UseCase
from noria.io.bundle_files import write_bundle
from noria.training.bundle.export import reference_parquet
from noria.training.data.dataset import TrainingSet

THRESHOLD = 0.3
DEPOTS = ("harbour", "north", "south")
EVALUATED = Interval.parse("2023-12-01", "2024-01-01")


@dataclass(frozen=True)
class Parcels:
    """Made-up rows as `noria.core.model.decision` has them for the task."""

    columns: dict[str, Any]
    scores: Scores
    decisions: Decisions
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def as_scored(self, known: npt.NDArray[np.bool_] | None = None) -> ScoredRows:
        """The rows as monitoring reads them."""
        known = np.ones(len(self), dtype=np.bool_) if known is None else known
        return ScoredRows(self.columns, self.scores, self.decisions, self.labels, known)


def make_up(
    use_case: UseCase, rows: int, seed: int, heavier: float = 0.0, later: float = 0.0, noise: float = 0.0, rise: float = 0.0
) -> Parcels:
    """Parcels of the use case's task; `heavier` and `later` move features, `noise` makes that share of the scores worthless,
    `rise` moves what comes and what is predicted together."""
    rng = np.random.default_rng(seed)
    weight, hour = rng.gamma(2, 4, rows) + heavier, np.clip(rng.normal(14 + later, 3, rows), 0, 23).round()
    depot = rng.choice(["north", "south", "harbour"], rows, p=[0.5, 0.3, 0.2])
    columns = {"weight": np.where(rng.random(rows) < 0.02, np.nan, weight), "hour": hour, "depot": depot.tolist()}
    truth = 0.15 * (weight - heavier - 8) + 0.3 * (hour - later - 14) + rise
    expected = _EXPECTED[use_case.task](truth)
    worthless = (rng.random(rows) < noise).reshape(-1, *[1] * (expected.ndim - 1))
    scores = np.where(worthless, rng.permutation(expected), expected)
    decisions = policy_of(use_case, THRESHOLD).decide(scores)
    return Parcels(columns, scores, decisions, _DRAWN[use_case.task](expected, rng))


def evaluate(use_case: UseCase, parcels: Parcels) -> EvaluationReport:
    """What an evaluation of them would have found."""
    policy, value = policy_of(use_case, THRESHOLD), use_case.business.value

    def measured(chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
        return measure_predictions(policy, value, parcels.labels[chosen], parcels.scores[chosen], parcels.decisions[chosen])

    at = {name: np.array(parcels.columns["depot"]) == name for name in DEPOTS}
    segments = (
        SegmentMetrics(segment="depot", value=name, rows=int(here.sum()), judged=True, metrics=measured(here))
        for name, here in at.items()
    )
    return EvaluationReport(
        task=use_case.task,
        start=EVALUATED.start.isoformat(),
        end=EVALUATED.end.isoformat(),
        rows=len(parcels),
        threshold=THRESHOLD,
        metrics=measured(np.ones(len(parcels), dtype=np.bool_)),
        segments=tuple(segments),
        parity=0.0,
    )


def as_reference(use_case: UseCase, parcels: Parcels) -> Reference:
    """The rows as the evaluation of a version."""
    return Reference(parcels.as_scored(), evaluate(use_case, parcels))


def a_manifest(use_case: UseCase, parcels: Parcels, **changes: Any) -> Manifest:
    """The manifest of a version that was evaluated on them."""
    policy = policy_of(use_case, THRESHOLD)
    provenance = Provenance(as_of=EVALUATED.end, snapshot=sha256(parcels.scores.tobytes()), specification="s", seed=1)
    found = Manifest(
        use_case=use_case.name,
        kind="onnx",
        candidate="linear",
        signature=declared_signature(use_case),
        task=policy.task,
        threshold=policy.threshold,
        classes=policy.classes,
        payoffs=policy.payoffs,
        provenance=provenance,
        metrics=evaluate(use_case, parcels).metrics,
    )
    return found.model_copy(update=changes)


def make_bundle(folder: Path, use_case: UseCase, parcels: Parcels, **changes: Any) -> str:
    """A bundle with the reference set that training would write of them; returns its digest."""
    rows = TrainingSet(parcels.columns, parcels.labels, np.arange(len(parcels), dtype=np.int64))
    files = {
        REFERENCE: reference_parquet(use_case.features, rows, parcels.scores, policy_of(use_case, THRESHOLD)),
        EVALUATION: evaluate(use_case, parcels).model_dump_json().encode(),
    }
    return write_bundle(folder, a_manifest(use_case, parcels, **changes), files)


def _risk(truth: Scores) -> Scores:
    return 1 / (1 + np.exp(1 - truth))


def _three_risks(truth: Scores) -> Scores:
    raw = np.exp(np.column_stack([np.zeros_like(truth), truth - 1, 0.8 * truth - 2.5]))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)


def _minutes(truth: Scores) -> Scores:
    return 60 + 15 * truth


def _draw_class(expected: Scores, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.asarray((rng.random((len(expected), 1)) > expected.cumsum(axis=1)).sum(axis=1), dtype=np.int64)


_EXPECTED = {Task.BINARY_CLASSIFICATION: _risk, Task.MULTICLASS: _three_risks, Task.REGRESSION: _minutes}
_DRAWN: dict[Task, Any] = {
    Task.BINARY_CLASSIFICATION: lambda expected, rng: rng.random(len(expected)) < expected,
    Task.MULTICLASS: _draw_class,
    Task.REGRESSION: lambda expected, rng: expected + rng.normal(0, 8, len(expected)),
}
