"""Reference models: the baseline and the champion on the same rows, each with the policy it serves with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from noria.core.lifecycle.evaluation import Difference, ReferenceResult
from noria.core.model.bundle import Manifest
from noria.core.model.decision import DecisionPolicy
from noria.core.use_case import Gate, Task
from noria.core.use_case.metric_catalog import gate_metrics
from noria.inference.predictor import Predictor, score_for_comparison
from noria.training.data.dataset import TrainingSet, micros
from noria.training.evaluation.scored_slice import FEWEST_ROWS, Positions, ScoredSlice
from noria.training.evaluation.uncertainty import Uncertainty

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceModel:
    """Another model on the same rows.

    Attributes:
        name: `baseline` or `champion`.
        version: its number.
        outcome: its scores of the compared rows; None if it cannot be compared.
        note: why it cannot be compared, or only in part; empty otherwise.
        unseen: positions of the compared rows, those that it has not been fitted to; None where these are all.
    """

    name: str
    version: str
    outcome: ScoredSlice | None
    note: str = ""
    unseen: Positions | None = None


def score_references(
    candidate: ScoredSlice, rows: TrainingSet, references: Sequence[tuple[str, str, Predictor]]
) -> tuple[ReferenceModel, ...]:
    """Score the rows with every reference model.

    Args:
        candidate: the candidate's scores of the same rows.
        rows: the evaluated rows.
        references: name, version and predictor of each reference model.
    """
    return tuple(_reference(candidate, rows, name, version, predictor) for name, version, predictor in references)


def compare(
    gates: Sequence[Gate],
    candidate: ScoredSlice,
    references: Sequence[ReferenceModel],
    uncertainty: Uncertainty,
    metric: str,
) -> Iterator[ReferenceResult]:
    """Metrics of every comparable reference model, with the candidate's differences.

    Args:
        gates: their metrics get a difference, as do money and `metric`.
        candidate: the candidate's scores.
        references: the reference models.
        uncertainty: of the rows.
        metric: the search metric.
    """
    for reference in references:
        if reference.outcome is None:
            yield ReferenceResult(name=reference.name, version=reference.version, metrics={}, note=reference.note)
            continue
        compared = _compared(gates, reference.name, candidate.policy.task, metric)
        ours, sure = candidate, uncertainty
        if reference.unseen is not None:
            ours, sure = candidate.take(reference.unseen), uncertainty.take(reference.unseen)
        yield ReferenceResult(
            name=reference.name,
            version=reference.version,
            metrics=reference.outcome.metrics,
            differences=_differences(compared, ours, reference.outcome, sure),
            rows=len(ours),
            candidate={} if reference.unseen is None else ours.metrics,
            note=reference.note,
        )


def _differences(
    metrics: Sequence[str], candidate: ScoredSlice, reference: ScoredSlice, uncertainty: Uncertainty
) -> dict[str, Difference]:
    shared = (metric for metric in metrics if metric in candidate.metrics and metric in reference.metrics)
    differences = {metric: uncertainty.difference(metric, candidate, reference) for metric in shared}
    return {metric: difference for metric, difference in differences.items() if difference is not None}


def _compared(gates: Sequence[Gate], reference: str, task: Task, metric: str) -> list[str]:
    gated = [gate.metric for gate in gates if reference in (gate.better_than, gate.not_worse_than)]
    return [name for name in dict.fromkeys(("value", metric, *gated)) if name in gate_metrics(task)]


def _reference(candidate: ScoredSlice, rows: TrainingSet, name: str, version: str, predictor: Predictor) -> ReferenceModel:
    manifest = predictor.manifest
    if reason := _incomparable(candidate.policy, manifest):
        return _noted(ReferenceModel(name, version, None, f"the {name} (version {version}) {reason}"))
    unseen = _unseen(manifest, rows)
    if len(unseen) < min(FEWEST_ROWS, len(rows)):
        why = f"has seen all but {len(unseen)} of these {len(rows):,} rows: too few to compare with, until newer labels come"
        return _noted(ReferenceModel(name, version, None, f"the {name} (version {version}) {why}"))
    compared = rows if len(unseen) == len(rows) else rows.take(unseen)
    gone = [field for field in manifest.signature.names if field not in rows.columns]
    columns = {
        field: compared.columns[field] if field not in gone else [None] * len(compared) for field in manifest.signature.names
    }
    outcome = ScoredSlice(manifest.policy, candidate.value, compared.labels, score_for_comparison(predictor, columns))
    notes = [f"reads {', '.join(gone)}, which is no feature any more: it is judged with that missing"] if gone else []
    if compared is not rows:
        notes.append(f"has seen {len(rows) - len(unseen):,} of these {len(rows):,} rows: it is compared on the others alone")
    note = f"the {name} (version {version}) {', and '.join(notes)}" if notes else ""
    return _noted(ReferenceModel(name, version, outcome, note, None if compared is rows else unseen))


def _unseen(manifest: Manifest, rows: TrainingSet) -> Positions:
    """Positions of the rows whose labels became known after the model's training set was taken."""
    if manifest.provenance is None:
        return np.arange(len(rows))
    known_at = rows.times if rows.known_at is None else rows.known_at
    return np.flatnonzero(known_at >= micros(manifest.provenance.as_of))


def _noted(reference: ReferenceModel) -> ReferenceModel:
    if reference.note:
        _log.warning("%s", reference.note)
    return reference


def _incomparable(policy: DecisionPolicy, manifest: Manifest) -> str:
    """Why a reference model cannot be compared; empty if it can."""
    if manifest.task is not policy.task:
        return f"was made for another task ({manifest.task} instead of {policy.task})"
    if policy.task.is_multiclass and manifest.classes != policy.classes:
        return f"knows other classes ({', '.join(manifest.classes)} instead of {', '.join(policy.classes)})"
    return ""
