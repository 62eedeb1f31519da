"""The segments to look at first: where a model does worse than at evaluation, or worse than the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from monitoring.assessment.outcomes import prediction_field, prediction_values
from monitoring.assessment.performance import RuleAnswers, measure, measure_rule
from monitoring.assessment.rows import Reference, ScoredRows
from noria.core.lifecycle.drift_report import SegmentFinding
from noria.core.metrics.task_profile import profile_of
from noria.core.stats.drift import compare
from noria.core.use_case import UseCase

LEAST_ROWS = 200
"""Fewest rows (and labels) to say anything about a segment."""
_SHOWN = 5
_Places = npt.NDArray[np.intp]


def worst_segments(
    use_case: UseCase, rows: ScoredRows, rule: RuleAnswers, reference: Reference | None, threshold: float
) -> tuple[SegmentFinding, ...]:
    """The few segments that lost most, the worst first; those that lost nothing or have too few rows are left out.

    Ranked by the loss of the headline metric against the segment's own evaluation; where that cannot be taken (the baseline
    serves, one class only) by the money that the model brings above the baseline.

    Args:
        use_case: names the segments.
        rows: the interval's rows.
        rule: what the baseline says of them.
        reference: what the version was evaluated on; None for version 0.
        threshold: where the version decides yes.
    """
    found: list[SegmentFinding] = []
    for segment in use_case.segments:
        before = _groups(reference.rows.columns.get(segment, ())) if reference else {}
        for value, places in _groups(rows.columns[segment]).items():
            cell = SegmentFinding(
                segment=segment,
                value=value,
                rows=len(places),
                metric=profile_of(use_case.task).headline,
                distance=_distance(use_case, rows, places, reference, before.get(value)),
                promised=_promised(use_case, reference, segment, value),
            )
            found.append(_with_labels(use_case, cell, rows, rule, threshold, places[rows.known[places]]))
    return tuple(sorted(filter(_lost, found), key=_badness)[:_SHOWN])


def _groups(column: Sequence[object]) -> dict[str, _Places]:
    """Row numbers per value, for values with enough rows, in order of the value."""
    return dict(_large_groups(column))


def _large_groups(column: Sequence[object]) -> Iterator[tuple[str, _Places]]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(column):
        if isinstance(value, str):
            members[value].append(index)
    for value in sorted(members):
        if len(members[value]) >= LEAST_ROWS:
            yield value, np.array(members[value], dtype=np.intp)


def _with_labels(  # noqa: PLR0917 - one cell of a table: which cell, what it is made from, and where
    use_case: UseCase, cell: SegmentFinding, rows: ScoredRows, rule: RuleAnswers, threshold: float, labelled: _Places
) -> SegmentFinding:
    """The cell with what its labels say, if there are enough."""
    if len(labelled) < LEAST_ROWS:
        return cell.model_copy(update={"labelled": len(labelled)})
    part = rows.take(labelled)
    metrics, of_rule = measure(use_case, part, threshold), measure_rule(use_case, part, rule.take(labelled))
    gain = round(metrics["value"] - of_rule["value"], 6)
    return cell.model_copy(
        update={"labelled": len(labelled), "found": metrics.get(cell.metric), "gain_per_1000": gain},
    )


def _distance(
    use_case: UseCase, rows: ScoredRows, places: _Places, reference: Reference | None, before: _Places | None
) -> float | None:
    if reference is None or before is None:
        return None
    then = prediction_values(use_case, reference.rows.take(before))
    return compare(prediction_field(use_case), then, prediction_values(use_case, rows.take(places)), 1.0).distance


def _promised(use_case: UseCase, reference: Reference | None, segment: str, value: str) -> float | None:
    if reference is None:
        return None
    for found in reference.report.segments:
        if (found.segment, found.value) == (segment, value) and found.judged:
            return found.metrics.get(profile_of(use_case.task).headline)
    return None


def _lost(found: SegmentFinding) -> bool:
    """Whether it does worse than at evaluation, or worse than the baseline."""
    return (found.quality.loss or 0.0) > 0 or (found.gain_per_1000 is not None and found.gain_per_1000 < 0)


def _badness(found: SegmentFinding) -> tuple[float, float, str, str]:
    return (-(found.quality.loss or 0.0), found.gain_per_1000 or 0.0, found.segment, found.value)
