"""Money: what decisions were worth, which threshold is worth most, what running costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from noria.core.base.interval import Interval
from noria.core.model.decision import Decisions, Labels, money
from noria.core.use_case import ConfusionValue, Costs, Value

DAYS_PER_MONTH = 30.4375
NEVER = 1.000001
"""A threshold that no probability reaches."""


def total_value(value: Value, labels: Labels, decisions: Decisions, classes: Sequence[str] = ()) -> float:
    """Money that the decisions made, in the use case's currency."""
    return math.fsum(money(value, labels, decisions, classes).tolist())


def value_per_1000(value: Value, labels: Labels, decisions: Decisions, classes: Sequence[str] = ()) -> float:
    """Money per 1,000 decisions; NaN where there are none."""
    return 1000 * total_value(value, labels, decisions, classes) / len(labels) if len(labels) else math.nan


def best_threshold(value: ConfusionValue) -> float:
    """The probability from which acting is worth more than not acting.

    With probability p, acting is worth ``p·TP + (1-p)·FP`` and not acting ``p·FN + (1-p)·TN``. Acting wins where
    ``p ≥ (TN - FP) / ((TP - FN) + (TN - FP))`` (Elkan, "The Foundations of Cost-Sensitive Learning", 2001). On calibrated
    probabilities this is also the threshold that made most money on the rows they were calibrated on, without the noise of
    searching for it.
    """
    gain = value.true_positive - value.false_negative
    loss = value.true_negative - value.false_positive
    if loss <= 0 and gain >= 0:
        return 0.0  # acting never costs anything
    if gain <= 0:
        return NEVER  # acting never pays
    return loss / (gain + loss)


def running_cost(costs: Costs, interval: Interval, predictions: int, training_runs: int = 0) -> float:
    """Running cost of an interval, in the use case's currency: its share of a month, its predictions, its trainings."""
    months = interval.days / DAYS_PER_MONTH
    return costs.monthly * months + costs.per_1000_predictions * predictions / 1000 + costs.training_run * training_runs
