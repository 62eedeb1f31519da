"""Money first: what everybody's decisions on the judged rows were worth, and what other thresholds would have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from noria.core.lifecycle.evaluation import CurvePoint, Estimate, ValueLine
from noria.core.model.decision import Decisions, Scores, money, nothing, perfect
from noria.core.stats.bootstrap import mean_interval
from noria.core.use_case import Task
from noria.training.evaluation.bootstrap import Resampler
from noria.training.evaluation.comparators import ReferenceModel
from noria.training.evaluation.scored_slice import PER, ScoredSlice

_POINTS = 51
_SHIFTS = 41


def value_lines(candidate: ScoredSlice, rivals: Sequence[ReferenceModel], resampler: Resampler) -> Iterator[ValueLine]:
    """Candidate, champion, rule, doing nothing and perfect foresight; who cannot be judged on these rows is left out."""
    known = {rival.name: rival.outcome.money for rival in rivals if rival.outcome is not None}
    lines = {"candidate": candidate.money} | {name: known[name] for name in ("champion", "baseline") if name in known}
    idle = nothing(candidate.policy.task, len(candidate))
    if idle is not None:
        lines["nothing"] = _money(candidate, idle)
    lines["perfect"] = _money(candidate, perfect(candidate.value, candidate.labels, candidate.policy.classes))
    for name, per_row in lines.items():
        found = mean_interval(per_row, seed=resampler.seed, groups=resampler.groups, rounds=resampler.rounds)
        if np.isfinite([found.value, found.low, found.high]).all():
            yield ValueLine(name=name, per_1000=Estimate(value=found.value, low=found.low, high=found.high))


def value_curve(candidate: ScoredSlice) -> tuple[CurvePoint, ...]:
    """Money per 1,000 decisions over thresholds, or over what is added to each number; at most 101 points.

    Thresholds lie evenly between the lowest and the highest score, and evenly over rows as well, since scores of a rare
    event crowd near 0. None for a choice among classes, which has no threshold.
    """
    if candidate.policy.task is Task.BINARY_CLASSIFICATION:
        return _over_thresholds(candidate)
    return _over_shifts(candidate) if candidate.policy.task is Task.REGRESSION else ()


def _over_thresholds(candidate: ScoredSlice) -> tuple[CurvePoint, ...]:
    scores = candidate.scores
    ends = np.linspace(scores.min(), scores.max(), _POINTS)
    thresholds = np.unique(np.concatenate((ends, np.quantile(scores, np.linspace(0, 1, _POINTS)[1:]))))
    order = np.argsort(scores)
    every = np.ones(len(scores), dtype=np.bool_)
    yes, no = _money(candidate, every)[order], _money(candidate, ~every)[order]
    no_below = np.concatenate(([0.0], np.cumsum(no)))
    yes_from = yes.sum() - np.concatenate(([0.0], np.cumsum(yes)))
    cuts = np.searchsorted(scores[order], thresholds, side="left")
    worth = (no_below + yes_from)[cuts] / len(scores)
    return tuple(CurvePoint(x=float(x), y=float(y)) for x, y in zip(thresholds, worth, strict=True))


def _over_shifts(candidate: ScoredSlice) -> tuple[CurvePoint, ...]:
    errors = candidate.labels - candidate.scores
    shifts = np.unique(np.append(np.quantile(errors, np.linspace(0.05, 0.95, _SHIFTS)), 0.0))
    return tuple(CurvePoint(x=float(by), y=_mean_money(candidate, candidate.scores + by)) for by in shifts)


def _mean_money(candidate: ScoredSlice, decisions: Decisions) -> float:
    return float(np.mean(_money(candidate, decisions)))


def _money(candidate: ScoredSlice, decisions: Decisions) -> Scores:
    return PER * money(candidate.value, candidate.labels, decisions, candidate.policy.classes)
