"""Judges a model on the last slice of time: overall, per segment, per month, and against its rivals on the same rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from noria.core.evaluation import EvaluationReport, Rival, SegmentMetrics
from noria.core.metrics import measure
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor
from noria.training.candidate import Probabilities
from noria.training.dataset import Fold, TrainingSet

MIN_SEGMENT_ROWS = 200
MONTH = "event_month"
MISSING = "(missing)"
_log = logging.getLogger(__name__)


def evaluate(
    use_case: UseCase,
    fold: Fold,
    scores: Probabilities,
    *,
    threshold: float,
    rivals: Sequence[tuple[str, str, Predictor]],
    parity: float,
    note: str,
) -> EvaluationReport:
    """Hold scores of a fold's validation rows against what happened.

    Args:
        use_case: says the segments and the money.
        fold: its validation rows are judged.
        scores: calibrated probabilities of those rows.
        threshold: decide yes where the score is at least this.
        rivals: name, version and predictor of whom to compare with.
        parity: largest difference between estimator and ONNX graph.
        note: what exactly was measured.
    """
    rows = fold.validation
    value = use_case.business.value
    return EvaluationReport(
        start=fold.window.start.isoformat(),
        end=fold.window.end.isoformat(),
        rows=len(rows),
        positives=int(rows.labels.sum()),
        threshold=threshold,
        metrics=measure(rows.labels, scores, threshold, value),
        segments=tuple(_segments(use_case, rows, scores, threshold)),
        rivals=tuple(_judge(use_case, rows, *rival) for rival in rivals),
        parity=parity,
        note=note,
    )


def _judge(use_case: UseCase, rows: TrainingSet, name: str, version: str, predictor: Predictor) -> Rival:
    columns = {field: _column(rows, field) for field in predictor.manifest.signature.names}
    scores = predictor.score_columns(columns)
    metrics = measure(rows.labels, scores, predictor.manifest.threshold, use_case.business.value)
    return Rival(name=name, version=version, metrics=metrics)


def _column(rows: TrainingSet, name: str) -> Any:
    if name not in rows.columns:
        _log.warning("the champion reads %s, which is no feature any more: it is judged with that missing", name)
        return [None] * len(rows)
    return rows.columns[name]


def _segments(use_case: UseCase, rows: TrainingSet, scores: Probabilities, threshold: float) -> Iterator[SegmentMetrics]:
    by_segment = {segment: rows.columns[segment] for segment in use_case.segments}
    for segment, values in {**by_segment, MONTH: _months(rows)}.items():
        named = np.array([MISSING if value is None else value for value in values], dtype=np.str_)
        for value in np.unique(named):
            chosen = named == value
            labels = rows.labels[chosen]
            judged = len(labels) >= MIN_SEGMENT_ROWS and 0 < int(labels.sum()) < len(labels)
            metrics = measure(labels, scores[chosen], threshold, use_case.business.value) if judged else {}
            yield SegmentMetrics(segment=segment, value=str(value), rows=len(labels), judged=judged, metrics=metrics)


def _months(rows: TrainingSet) -> list[str]:
    return [f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m}" for micros in rows.times.tolist()]
