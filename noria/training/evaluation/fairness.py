"""Fairness: decisions or errors compared over the values of every protected attribute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Estimate, Fairness, GroupErrorStats, GroupRate
from noria.core.metrics.direction import LOWER_IS_BETTER
from noria.core.model.decision import Decisions, Labels
from noria.core.stats.fairness import compare_groups, compare_means
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.group_intervals import GroupIntervals, mean_intervals
from noria.training.evaluation.scored_slice import ScoredSlice, texts
from noria.training.evaluation.uncertainty import Uncertainty

FIGURES = ("demographic_parity", "disparate_impact", "equalised_odds")


def compare_decisions(
    protected: Sequence[str], rows: TrainingSet, outcome: ScoredSlice, uncertainty: Uncertainty
) -> tuple[Fairness, ...]:
    """Yes decisions by group; for several classes, any decision but the first class counts as yes; empty for regression.

    Args:
        protected: categorical features.
        rows: the evaluated rows.
        outcome: their scores.
        uncertainty: of the rows.
    """
    if outcome.policy.task.is_regression:
        return ()
    labels, decisions = outcome.labels.astype(bool), outcome.decisions.astype(bool)
    return tuple(
        _compare(attribute, labels, decisions, texts(rows.columns[attribute]), uncertainty) for attribute in protected
    )


def compare_errors(
    protected: Sequence[str], rows: TrainingSet, outcome: ScoredSlice, uncertainty: Uncertainty
) -> Iterator[GroupErrorStats]:
    """Mean prediction and mean error by group; regression only. Arguments as for `compare_decisions`."""
    if not outcome.policy.task.is_regression:
        return
    for attribute in protected:
        yield from _errors(attribute, texts(rows.columns[attribute]), outcome, uncertainty)


def fairness_metrics(compared: Sequence[Fairness]) -> dict[str, float]:
    """The worst attribute's figures, by the names that gates use; figures that no attribute gives are left out."""
    return {figure: getattr(part, figure) for figure, part in _worst(compared).items()}


def fairness_intervals(compared: Sequence[Fairness]) -> dict[str, Estimate]:
    """The intervals of the worst attribute's figures, by the same names."""
    worst = _worst(compared).items()
    return {figure: part.intervals[figure] for figure, part in worst if figure in part.intervals}


def _worst(compared: Sequence[Fairness]) -> dict[str, Fairness]:
    """The worst attribute, by figure."""
    worst: dict[str, Fairness] = {}
    for figure in FIGURES:
        measured = [part for part in compared if getattr(part, figure) is not None]
        if measured:
            choose = max if figure in LOWER_IS_BETTER else min
            worst[figure] = choose(measured, key=lambda part, figure=figure: getattr(part, figure))  # type: ignore[misc]
    return worst


def _compare(
    attribute: str, labels: Labels, decisions: Decisions, groups: npt.NDArray[np.str_], uncertainty: Uncertainty
) -> Fairness:
    compared = compare_groups(labels, decisions, groups)
    intervals = GroupIntervals.of(compared, labels, decisions, groups, uncertainty)
    return Fairness(
        attribute=attribute, intervals=intervals.gaps(), groups=tuple(_rates(attribute, intervals)), **compared.metrics
    )


def _errors(
    attribute: str, groups: npt.NDArray[np.str_], outcome: ScoredSlice, uncertainty: Uncertainty
) -> Iterator[GroupErrorStats]:
    errors = outcome.scores - outcome.labels
    predictions, mistakes = compare_means(outcome.scores, groups), compare_means(errors, groups)
    of_prediction = mean_intervals(outcome.scores, groups, predictions, uncertainty)
    of_error = mean_intervals(errors, groups, mistakes, uncertainty)
    for one, other in zip(predictions.groups, mistakes.groups, strict=True):
        intervals = {"mean_prediction": of_prediction.get(one.group), "mean_error": of_error.get(one.group)}
        yield GroupErrorStats(
            attribute=attribute,
            value=one.group,
            rows=one.rows,
            judged=one.judged,
            mean_prediction=one.mean,
            mean_error=other.mean,
            intervals={name: estimate for name, estimate in intervals.items() if estimate is not None},
        )


def _rates(attribute: str, intervals: GroupIntervals) -> Iterator[GroupRate]:
    for group in intervals.compared.groups:
        yield GroupRate(
            attribute=attribute,
            value=group.group,
            rows=group.rows,
            judged=group.judged,
            selection_rate=group.selection_rate,
            true_positive_rate=_or_none(group.true_positive_rate),
            false_positive_rate=_or_none(group.false_positive_rate),
            intervals=intervals.rates(group.group),
        )


def _or_none(rate: float) -> float | None:
    return None if math.isnan(rate) else rate
