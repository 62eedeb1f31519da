"""The rule and the serving model on the same rows, each deciding as it decides today."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from noria.core.lifecycle.evaluation import Difference, ReferenceResult
from noria.core.model.bundle import Manifest
from noria.core.use_case import Task, UseCase
from noria.core.use_case.cross_checks import METRICS
from noria.inference.predictor import Predictor
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.bootstrap import Resampler
from noria.training.evaluation.scored_slice import ScoredSlice

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceModel:
    """Somebody else's decisions on the same rows; no outcome where they cannot be compared, and why."""

    name: str
    version: str
    outcome: ScoredSlice | None
    note: str = ""


def score_references(
    use_case: UseCase, rows: TrainingSet, rivals: Sequence[tuple[str, str, Predictor]]
) -> tuple[ReferenceModel, ...]:
    """Score the rows with every rival."""
    return tuple(_judge(use_case, rows, name, version, predictor) for name, version, predictor in rivals)


def compare(
    use_case: UseCase, candidate: ScoredSlice, rivals: Sequence[ReferenceModel], resampler: Resampler, metric: str
) -> Iterator[ReferenceResult]:
    """Metrics of every rival that can be compared, with the candidate's lead in what gates ask, money and `metric`."""
    for rival in rivals:
        if rival.outcome is None:
            continue
        wanted = _compared(use_case, rival.name, metric)
        differences = _differences(wanted, candidate, rival.outcome, resampler)
        yield ReferenceResult(name=rival.name, version=rival.version, metrics=rival.outcome.metrics, differences=differences)


def _differences(
    metrics: Sequence[str], candidate: ScoredSlice, rival: ScoredSlice, resampler: Resampler
) -> dict[str, Difference]:
    shared = (metric for metric in metrics if metric in candidate.metrics and metric in rival.metrics)
    found = {metric: resampler.difference(metric, candidate, rival) for metric in shared}
    return {metric: difference for metric, difference in found.items() if difference is not None}


def _compared(use_case: UseCase, rival: str, metric: str) -> list[str]:
    asked = [gate.metric for gate in use_case.gates if rival in (gate.better_than, gate.not_worse_than)]
    return [name for name in dict.fromkeys(("value", metric, *asked)) if name in METRICS[use_case.task]]


def _judge(use_case: UseCase, rows: TrainingSet, name: str, version: str, predictor: Predictor) -> ReferenceModel:
    manifest = predictor.manifest
    if reason := _cannot_be_compared(use_case, manifest):
        note = f"The {name} (version {version}) {reason}: it is not compared with the candidate."
        _log.warning("%s", note)
        return ReferenceModel(name, version, None, note)
    gone = [field for field in manifest.signature.names if field not in rows.columns]
    columns = {field: rows.columns[field] if field not in gone else [None] * len(rows) for field in manifest.signature.names}
    outcome = ScoredSlice(manifest.policy, use_case.business.value, rows.labels, _scores(predictor, columns))
    if not gone:
        return ReferenceModel(name, version, outcome)
    note = f"The {name} reads {', '.join(gone)}, which is no feature any more: it is judged with that missing."
    _log.warning("%s", note)
    return ReferenceModel(name, version, outcome, note)


def _scores(predictor: Predictor, columns: dict[str, Any]) -> Any:
    return predictor.score_columns(columns)


def _cannot_be_compared(use_case: UseCase, manifest: Manifest) -> str:
    if manifest.task is not use_case.task:
        return f"was made for another task ({manifest.task} instead of {use_case.task})"
    if use_case.task is Task.MULTICLASS and manifest.classes != use_case.label.classes:
        return f"knows other classes ({', '.join(manifest.classes)} instead of {', '.join(use_case.label.classes)})"
    return ""
