"""The segments to look at first: where a model does worse than it promised, or worse than the rule."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from monitoring.assessment import SegmentFinding
from monitoring.performance import rule_scores
from monitoring.rows import Flags, Reference, ScoredRows
from noria.core.drift import compare
from noria.core.metrics import roc_auc
from noria.core.signature import Field, Kind
from noria.core.use_case import UseCase
from noria.core.value import value_per_1000

LEAST_ROWS = 200
"""Fewest rows (and labels) to say anything about a segment."""
_SHOWN = 5
_SCORE = Field(name="score", kind=Kind.NUMERIC)


def worst_segments(use_case: UseCase, rows: ScoredRows, reference: Reference | None) -> tuple[SegmentFinding, ...]:
    """The few segments that lost most, the worst first; those that lost nothing or have too few rows are left out.

    Ranked by the drop of ROC AUC against the segment's own evaluation; where that cannot be taken (the rule serves, one
    class only) by the money that the model brings above the rule.
    """
    rule = rule_scores(use_case, rows.columns) >= 0.5
    found = [
        _find(use_case, rows, reference, rule, segment, value, index)
        for segment in use_case.segments
        for value, index in _groups(rows.columns[segment])
    ]
    return tuple(sorted(filter(_lost, found), key=_badness)[:_SHOWN])


def _groups(column: Sequence[object]) -> Iterator[tuple[str, np.ndarray]]:
    """Row numbers per value, for values with enough rows, in order of the value."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(column):
        if isinstance(value, str):
            members[value].append(index)
    for value in sorted(members):
        if len(members[value]) >= LEAST_ROWS:
            yield value, np.array(members[value])


def _find(  # noqa: PLR0917 - one cell of a table: rows, what they are held against, and which cell
    use_case: UseCase,
    rows: ScoredRows,
    reference: Reference | None,
    rule: Flags,
    segment: str,
    value: str,
    index: np.ndarray,
) -> SegmentFinding:
    known = index[rows.known[index]]
    labels, enough = rows.labels[known], len(known) >= LEAST_ROWS
    worth = use_case.business.value
    gain = value_per_1000(worth, labels, rows.decisions[known]) - value_per_1000(worth, labels, rule[known])
    return SegmentFinding(
        segment=segment,
        value=value,
        rows=len(index),
        labelled=len(known),
        distance=_score_distance(rows, reference, segment, value, index),
        roc_auc=_finite(roc_auc(labels, rows.scores[known])) if enough else None,
        promised_roc_auc=_promised(reference, segment, value),
        gain_per_1000=_finite(gain) if enough else None,
    )


def _score_distance(
    rows: ScoredRows, reference: Reference | None, segment: str, value: str, index: np.ndarray
) -> float | None:
    if reference is None or segment not in reference.rows.columns:
        return None
    before = [number for number, found in enumerate(reference.rows.columns[segment]) if found == value]
    if len(before) < LEAST_ROWS:
        return None
    return compare(_SCORE, reference.rows.scores[before].tolist(), rows.scores[index].tolist(), 1.0).distance


def _promised(reference: Reference | None, segment: str, value: str) -> float | None:
    if reference is None:
        return None
    for found in reference.report.segments:
        if (found.segment, found.value) == (segment, value) and found.judged:
            return found.metrics.get("roc_auc")
    return None


def _lost(found: SegmentFinding) -> bool:
    """Whether it does worse than promised, or worse than the rule."""
    drop, _gain, *_ = _badness(found)
    return drop < 0 or (found.gain_per_1000 is not None and found.gain_per_1000 < 0)


def _badness(found: SegmentFinding) -> tuple[float, float, str, str]:
    drop = 0.0
    if found.roc_auc is not None and found.promised_roc_auc is not None:
        drop = found.promised_roc_auc - found.roc_auc
    return (-drop, found.gain_per_1000 or 0.0, found.segment, found.value)


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
