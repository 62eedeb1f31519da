"""Whether groups are treated alike: decisions, or errors, over the values of every protected attribute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Estimate, Fairness, GroupErrorStats, GroupRate
from noria.core.metrics.direction import LOWER_IS_BETTER
from noria.core.model.decision import Decisions, Labels
from noria.core.stats.fairness import compare_groups, compare_means
from noria.core.use_case import Task, UseCase
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.bootstrap import Resampler
from noria.training.evaluation.group_bootstrap import DrawnGroups, drawn_means
from noria.training.evaluation.scored_slice import ScoredSlice, texts

FIGURES = ("demographic_parity", "disparate_impact", "equalised_odds")


def compare_decisions(
    use_case: UseCase, rows: TrainingSet, outcome: ScoredSlice, resampler: Resampler
) -> tuple[Fairness, ...]:
    """Yes decisions over groups; of a choice among classes, doing anything but the first class counts as yes."""
    if use_case.task is Task.REGRESSION:
        return ()
    labels, decisions = outcome.labels.astype(bool), outcome.decisions.astype(bool)
    return tuple(
        _compare(attribute, labels, decisions, texts(rows.columns[attribute]), resampler) for attribute in use_case.protected
    )


def compare_errors(
    use_case: UseCase, rows: TrainingSet, outcome: ScoredSlice, resampler: Resampler
) -> Iterator[GroupErrorStats]:
    """Mean prediction and mean error over groups; regression alone."""
    if use_case.task is not Task.REGRESSION:
        return
    for attribute in use_case.protected:
        yield from _errors(attribute, texts(rows.columns[attribute]), outcome, resampler)


def fairness_metrics(found: Sequence[Fairness]) -> dict[str, float]:
    """The worst of all attributes by the names that a gate can hold; what no attribute could give is left out."""
    return {figure: getattr(part, figure) for figure, part in _worst(found).items()}


def fairness_intervals(found: Sequence[Fairness]) -> dict[str, Estimate]:
    """The intervals of the worst of all attributes, by the same names."""
    worst = _worst(found).items()
    return {figure: part.intervals[figure] for figure, part in worst if figure in part.intervals}


def _worst(found: Sequence[Fairness]) -> dict[str, Fairness]:
    """The attribute that is worst off, by figure."""
    worst: dict[str, Fairness] = {}
    for figure in FIGURES:
        told = [part for part in found if getattr(part, figure) is not None]
        if told:
            choose = max if figure in LOWER_IS_BETTER else min
            worst[figure] = choose(told, key=lambda part, figure=figure: getattr(part, figure))  # type: ignore[misc]
    return worst


def _compare(
    attribute: str, labels: Labels, decisions: Decisions, named: npt.NDArray[np.str_], resampler: Resampler
) -> Fairness:
    compared = compare_groups(labels, decisions, named)
    drawn = DrawnGroups.of(compared, labels, decisions, named, resampler)
    return Fairness(attribute=attribute, intervals=drawn.gaps(), groups=tuple(_rates(attribute, drawn)), **compared.metrics)


def _errors(
    attribute: str, named: npt.NDArray[np.str_], outcome: ScoredSlice, resampler: Resampler
) -> Iterator[GroupErrorStats]:
    errors = outcome.scores - outcome.labels
    predicted, missed = compare_means(outcome.scores, named), compare_means(errors, named)
    sure_of_predicted = drawn_means(outcome.scores, named, predicted, resampler)
    sure_of_missed = drawn_means(errors, named, missed, resampler)
    for one, other in zip(predicted.groups, missed.groups, strict=True):
        told = {"mean_prediction": sure_of_predicted.get(one.group), "mean_error": sure_of_missed.get(one.group)}
        yield GroupErrorStats(
            attribute=attribute,
            value=one.group,
            rows=one.rows,
            judged=one.judged,
            mean_prediction=one.mean,
            mean_error=other.mean,
            intervals={name: estimate for name, estimate in told.items() if estimate is not None},
        )


def _rates(attribute: str, drawn: DrawnGroups) -> Iterator[GroupRate]:
    for group in drawn.compared.groups:
        yield GroupRate(
            attribute=attribute,
            value=group.group,
            rows=group.rows,
            judged=group.judged,
            selection_rate=group.selection_rate,
            true_positive_rate=_or_none(group.true_positive_rate),
            false_positive_rate=_or_none(group.false_positive_rate),
            intervals=drawn.rates(group.group),
        )


def _or_none(rate: float) -> float | None:
    return None if math.isnan(rate) else rate
