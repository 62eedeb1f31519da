"""The same metrics for every value of every segment, and for every month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from noria.core.lifecycle.evaluation import Estimate, SegmentMetrics
from noria.core.use_case import Task, UseCase
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.bootstrap import Resampler
from noria.training.evaluation.scored_slice import Positions, RowGroups, ScoredSlice

FEWEST_ROWS = 200
"""Fewest rows for a segment to be judged."""
MOST_VALUES = 100
"""Of a segment with more values, the largest are told apart; the others are taken together."""
MAIN_METRIC: Mapping[Task, str] = {
    Task.BINARY_CLASSIFICATION: "roc_auc",
    Task.MULTICLASS: "accuracy",
    Task.REGRESSION: "mae",
}
"""Gets an interval in every part, as do money and what gates ask for."""
MONTH = "event_month"
OTHERS = "(others)"


@dataclass(frozen=True)
class _Promised:
    """Metrics that get an interval, by kind of part."""

    segment: tuple[str, ...]
    month: tuple[str, ...]


def judge_segments(
    use_case: UseCase, rows: TrainingSet, outcome: ScoredSlice, resampler: Resampler
) -> Iterator[SegmentMetrics]:
    """Metrics of every value of every segment, small ones marked as not judged; then of every month."""
    promised = _promised(use_case)
    for segment in use_case.segments:
        yield from _judge_parts(segment, _parts_of(rows, segment), outcome, resampler, promised.segment)
    yield from _judge_parts(MONTH, months(rows), outcome, resampler, promised.month)


def segment_values(use_case: UseCase, rows: TrainingSet) -> Iterator[tuple[str, str, Positions]]:
    """Segment, value and row positions of every value of a segment that has enough rows to be judged."""
    for segment in use_case.segments:
        for value, positions in _parts_of(rows, segment):
            if len(positions) >= FEWEST_ROWS:
                yield segment, value, positions


def months(rows: TrainingSet) -> RowGroups:
    """Rows by the month of their event time, such as `2024-03`; UTC."""
    found, number = np.unique(rows.times.astype("datetime64[us]").astype("datetime64[M]"), return_inverse=True)
    return RowGroups(np.datetime_as_string(found, unit="M").astype(np.str_), number)


def _parts_of(rows: TrainingSet, segment: str) -> RowGroups:
    return RowGroups.of(rows.columns[segment]).largest(MOST_VALUES, OTHERS)


def _judge_parts(
    segment: str, parts: RowGroups, outcome: ScoredSlice, resampler: Resampler, metrics: tuple[str, ...]
) -> Iterator[SegmentMetrics]:
    for value, positions in parts:
        part = outcome.take(positions)
        if not _can_be_judged(part):
            yield SegmentMetrics(segment=segment, value=value, rows=len(part), judged=False, metrics={})
            continue
        intervals = _intervals(part, resampler.take(positions), metrics)
        yield SegmentMetrics(
            segment=segment, value=value, rows=len(part), judged=True, metrics=part.metrics, intervals=intervals
        )


def _intervals(part: ScoredSlice, resampler: Resampler, metrics: tuple[str, ...]) -> dict[str, Estimate]:
    found = {metric: resampler.interval(metric, part) for metric in metrics if metric in part.metrics}
    return {metric: estimate for metric, estimate in found.items() if estimate is not None}


def _can_be_judged(part: ScoredSlice) -> bool:
    if len(part) < FEWEST_ROWS:
        return False
    return part.policy.task is Task.REGRESSION or len(np.unique(part.labels)) > 1


def _promised(use_case: UseCase) -> _Promised:
    def asked(prefix: str) -> tuple[str, ...]:
        gates = (gate for gate in use_case.gates if any(name.startswith(prefix) for name in gate.conditions))
        return tuple(dict.fromkeys((*(gate.metric for gate in gates), MAIN_METRIC[use_case.task], "value")))

    return _Promised(asked("worst_segment"), asked("worst_month"))
