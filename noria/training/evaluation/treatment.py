"""Whether groups are treated alike: decisions, or errors, over the values of every protected attribute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from noria.core.decision import Decisions, Labels
from noria.core.evaluation import Fairness, GroupError, GroupRate
from noria.core.fairness import GroupComparison, compare_groups, compare_means
from noria.core.use_case import Task, UseCase
from noria.training.dataset import TrainingSet
from noria.training.evaluation.outcome import Outcome, texts


def compare_decisions(use_case: UseCase, rows: TrainingSet, outcome: Outcome) -> tuple[Fairness, ...]:
    """Yes decisions over groups; of a choice among classes, doing anything but the first class counts as yes."""
    if use_case.task is Task.REGRESSION:
        return ()
    labels, decisions = outcome.labels.astype(bool), outcome.decisions.astype(bool)
    return tuple(_compare(attribute, labels, decisions, texts(rows.columns[attribute])) for attribute in use_case.protected)


def compare_errors(use_case: UseCase, rows: TrainingSet, outcome: Outcome) -> Iterator[GroupError]:
    """Mean prediction and mean error over groups; regression alone."""
    if use_case.task is not Task.REGRESSION:
        return
    for attribute in use_case.protected:
        named = texts(rows.columns[attribute])
        predicted = compare_means(outcome.scores, named).groups
        errors = compare_means(outcome.scores - outcome.labels, named).groups
        for one, other in zip(predicted, errors, strict=True):
            yield GroupError(
                attribute=attribute,
                value=one.group,
                rows=one.rows,
                judged=one.judged,
                mean_prediction=one.mean,
                mean_error=other.mean,
            )


def fairness_metrics(found: Sequence[Fairness]) -> dict[str, float]:
    """The worst of all attributes by the names that a gate can hold; what no attribute could give is left out."""
    worst = {
        "demographic_parity": max(_known(part.demographic_parity for part in found), default=None),
        "disparate_impact": min(_known(part.disparate_impact for part in found), default=None),
        "equalised_odds": max(_known(part.equalised_odds for part in found), default=None),
    }
    return {name: number for name, number in worst.items() if number is not None}


def _compare(attribute: str, labels: Labels, decisions: Decisions, named: npt.NDArray[np.str_]) -> Fairness:
    compared = compare_groups(labels, decisions, named)
    return Fairness(attribute=attribute, groups=tuple(_rates(attribute, compared)), **compared.metrics)


def _rates(attribute: str, compared: GroupComparison) -> Iterator[GroupRate]:
    for group in compared.groups:
        yield GroupRate(
            attribute=attribute,
            value=group.group,
            rows=group.rows,
            judged=group.judged,
            selection_rate=group.selection_rate,
            true_positive_rate=_or_none(group.true_positive_rate),
            false_positive_rate=_or_none(group.false_positive_rate),
        )


def _known(numbers: Iterator[float | None]) -> Iterator[float]:
    return (number for number in numbers if number is not None)


def _or_none(rate: float) -> float | None:
    return None if math.isnan(rate) else rate
