"""Metrics by value of each segment, and by month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from noria.core.lifecycle.evaluation import MONTH, Estimate, SegmentMetrics
from noria.core.metrics.task_profile import profile_of
from noria.core.use_case import Gate, Task
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.scored_slice import FEWEST_ROWS, Positions, RowGroups, ScoredSlice
from noria.training.evaluation.uncertainty import Uncertainty

MOST_VALUES = 100
"""Most values of a segment; the smallest are merged into one."""
OTHERS = "(others)"


def segment_metrics(
    segments: Sequence[str], gates: Sequence[Gate], rows: TrainingSet, outcome: ScoredSlice, uncertainty: Uncertainty
) -> Iterator[SegmentMetrics]:
    """Metrics of every value of every segment, then of every month; small groups are marked as not judged.

    Args:
        segments: categorical features.
        gates: metrics that are gated by segment or month get an interval there.
        rows: the evaluated rows.
        outcome: their scores.
        uncertainty: of the rows.
    """
    task = outcome.policy.task
    for segment in segments:
        metrics = _with_interval(gates, "worst_segment", task)
        yield from _by_group(segment, _values_of(rows, segment), outcome, uncertainty, metrics)
    yield from _by_group(MONTH, months(rows), outcome, uncertainty, _with_interval(gates, "worst_month", task))


def large_segments(segments: Sequence[str], rows: TrainingSet) -> Iterator[tuple[str, str, Positions]]:
    """Segment, value and row positions, shape ``(rows of the value,)``, of every value with at least `FEWEST_ROWS` rows."""
    for segment in segments:
        for value, positions in _values_of(rows, segment):
            if len(positions) >= FEWEST_ROWS:
                yield segment, value, positions


def months(rows: TrainingSet) -> RowGroups:
    """Rows by the month of their event time, such as `2024-03`; UTC."""
    names, number = np.unique(rows.times.astype("datetime64[us]").astype("datetime64[M]"), return_inverse=True)
    return RowGroups(np.datetime_as_string(names, unit="M").astype(np.str_), number)


def _values_of(rows: TrainingSet, segment: str) -> RowGroups:
    return RowGroups.of(rows.columns[segment]).largest(MOST_VALUES, OTHERS)


def _by_group(
    segment: str, groups: RowGroups, outcome: ScoredSlice, uncertainty: Uncertainty, metrics: tuple[str, ...]
) -> Iterator[SegmentMetrics]:
    for value, positions in groups:
        part = outcome.take(positions)
        if not _large_enough(part):
            yield SegmentMetrics(segment=segment, value=value, rows=len(part), judged=False, metrics={})
            continue
        intervals = _intervals(part, uncertainty.take(positions), metrics)
        yield SegmentMetrics(
            segment=segment, value=value, rows=len(part), judged=True, metrics=part.metrics, intervals=intervals
        )


def _intervals(part: ScoredSlice, uncertainty: Uncertainty, metrics: tuple[str, ...]) -> dict[str, Estimate]:
    estimates = {metric: uncertainty.interval(metric, part) for metric in metrics if metric in part.metrics}
    return {metric: estimate for metric, estimate in estimates.items() if estimate is not None}


def _large_enough(part: ScoredSlice) -> bool:
    if len(part) < FEWEST_ROWS:
        return False
    return part.policy.task.is_regression or len(np.unique(part.labels)) > 1


def _with_interval(gates: Sequence[Gate], condition: str, task: Task) -> tuple[str, ...]:
    """Metrics of the gates whose conditions start with `condition`, the task's own, and money."""
    gated = (gate.metric for gate in gates if any(name.startswith(condition) for name in gate.conditions))
    return tuple(dict.fromkeys((*gated, profile_of(task).interval_metric, "value")))
