"""Business value: money of the candidate's and other decisions on the evaluated rows, and over other thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from noria.core.lifecycle.evaluation import CurvePoint, ValueLine
from noria.core.model.decision import Decisions, Money, money, nothing, perfect
from noria.core.use_case import ConfusionValue
from noria.training.evaluation.comparators import ReferenceModel
from noria.training.evaluation.scored_slice import PER, ScoredSlice
from noria.training.evaluation.uncertainty import Uncertainty
from noria.training.fit.threshold import threshold_curve

_POINTS = 51
_SHIFTS = 41


def value_lines(
    candidate: ScoredSlice, references: Sequence[ReferenceModel], uncertainty: Uncertainty
) -> Iterator[ValueLine]:
    """Money per 1,000 decisions of candidate, champion, baseline, doing nothing and perfect foresight.

    A reference model that cannot be compared on all rows is left out.

    Args:
        candidate: the candidate's scores.
        references: the reference models on the same rows.
        uncertainty: of the rows.
    """
    whole = (one for one in references if one.outcome is not None and one.unseen is None)
    compared = {reference.name: reference.outcome.money for reference in whole if reference.outcome is not None}
    lines = {"candidate": candidate.money}
    lines |= {name: compared[name] for name in ("champion", "baseline") if name in compared}
    idle = nothing(candidate.policy.task, len(candidate))
    if idle is not None:
        lines["nothing"] = _money(candidate, idle)
    lines["perfect"] = _money(candidate, perfect(candidate.value, candidate.labels, candidate.policy.classes))
    for name, per_row in lines.items():
        mean = uncertainty.mean(per_row)
        if mean is not None:
            yield ValueLine(name=name, per_1000=mean)


def value_curve(candidate: ScoredSlice) -> tuple[CurvePoint, ...]:
    """Money per 1,000 decisions over thresholds, or over an amount added to each number; at most 101 points.

    Thresholds lie evenly between the lowest and the highest score, and evenly over rows as well, since scores of a rare
    event lie close to 0. Empty for several classes, which have no threshold.
    """
    if isinstance(candidate.value, ConfusionValue):
        return _over_thresholds(candidate, candidate.value)
    return _over_shifts(candidate) if candidate.policy.task.is_regression else ()


def _over_thresholds(candidate: ScoredSlice, value: ConfusionValue) -> tuple[CurvePoint, ...]:
    scores = candidate.scores
    ends = np.linspace(scores.min(), scores.max(), _POINTS)
    thresholds = np.unique(np.concatenate((ends, np.quantile(scores, np.linspace(0, 1, _POINTS)[1:]))))
    per_1000 = threshold_curve(value, candidate.labels, scores, thresholds)
    return tuple(CurvePoint(x=float(x), y=float(y)) for x, y in zip(thresholds, per_1000, strict=True))


def _over_shifts(candidate: ScoredSlice) -> tuple[CurvePoint, ...]:
    errors = candidate.labels - candidate.scores
    shifts = np.unique(np.append(np.quantile(errors, np.linspace(0.05, 0.95, _SHIFTS)), 0.0))
    means = (float(np.mean(_money(candidate, candidate.scores + shift))) for shift in shifts)
    return tuple(CurvePoint(x=float(shift), y=mean) for shift, mean in zip(shifts, means, strict=True))


def _money(candidate: ScoredSlice, decisions: Decisions) -> Money:
    return PER * money(candidate.value, candidate.labels, decisions, candidate.policy.classes)
