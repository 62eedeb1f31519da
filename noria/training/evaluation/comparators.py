"""Reference models: the baseline and the champion on the same rows, each with the policy it serves with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from noria.core.lifecycle.evaluation import Difference, ReferenceResult
from noria.core.model.bundle import Manifest
from noria.core.model.decision import DecisionPolicy
from noria.core.use_case import Gate, Task
from noria.core.use_case.metric_catalog import gate_metrics
from noria.inference.predictor import Predictor
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.bootstrap import Resampler
from noria.training.evaluation.scored_slice import ScoredSlice

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceModel:
    """Another model on the same rows.

    Attributes:
        name: `baseline` or `champion`.
        version: its number.
        outcome: its scores of the rows; None if it cannot be compared.
        note: why it cannot be compared, or only in part; empty otherwise.
    """

    name: str
    version: str
    outcome: ScoredSlice | None
    note: str = ""


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
    gates: Sequence[Gate], candidate: ScoredSlice, references: Sequence[ReferenceModel], resampler: Resampler, metric: str
) -> Iterator[ReferenceResult]:
    """Metrics of every comparable reference model, with the candidate's differences.

    Args:
        gates: their metrics get a difference, as do money and `metric`.
        candidate: the candidate's scores.
        references: the reference models.
        resampler: draws the rows for intervals.
        metric: the search metric.
    """
    for reference in references:
        if reference.outcome is None:
            continue
        compared = _compared(gates, reference.name, candidate.policy.task, metric)
        differences = _differences(compared, candidate, reference.outcome, resampler)
        yield ReferenceResult(
            name=reference.name, version=reference.version, metrics=reference.outcome.metrics, differences=differences
        )


def _differences(
    metrics: Sequence[str], candidate: ScoredSlice, reference: ScoredSlice, resampler: Resampler
) -> dict[str, Difference]:
    shared = (metric for metric in metrics if metric in candidate.metrics and metric in reference.metrics)
    differences = {metric: resampler.difference(metric, candidate, reference) for metric in shared}
    return {metric: difference for metric, difference in differences.items() if difference is not None}


def _compared(gates: Sequence[Gate], reference: str, task: Task, metric: str) -> list[str]:
    gated = [gate.metric for gate in gates if reference in (gate.better_than, gate.not_worse_than)]
    return [name for name in dict.fromkeys(("value", metric, *gated)) if name in gate_metrics(task)]


def _reference(candidate: ScoredSlice, rows: TrainingSet, name: str, version: str, predictor: Predictor) -> ReferenceModel:
    manifest = predictor.manifest
    if reason := _incomparable(candidate.policy, manifest):
        note = f"The {name} (version {version}) {reason}: it is not compared with the candidate."
        _log.warning("%s", note)
        return ReferenceModel(name, version, None, note)
    gone = [field for field in manifest.signature.names if field not in rows.columns]
    columns = {field: rows.columns[field] if field not in gone else [None] * len(rows) for field in manifest.signature.names}
    outcome = ScoredSlice(manifest.policy, candidate.value, rows.labels, predictor.score_columns(columns))
    if not gone:
        return ReferenceModel(name, version, outcome)
    note = f"The {name} reads {', '.join(gone)}, which is no feature any more: it is judged with that missing."
    _log.warning("%s", note)
    return ReferenceModel(name, version, outcome, note)


def _incomparable(policy: DecisionPolicy, manifest: Manifest) -> str:
    """Why a reference model cannot be compared; empty if it can."""
    if manifest.task is not policy.task:
        return f"was made for another task ({manifest.task} instead of {policy.task})"
    if policy.task.is_multiclass and manifest.classes != policy.classes:
        return f"knows other classes ({', '.join(manifest.classes)} instead of {', '.join(policy.classes)})"
    return ""
