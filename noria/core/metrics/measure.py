"""Measures predictions of any task: quality, and money per 1,000 decisions. Training, gates and monitoring all ask here."""

from __future__ import annotations

import math

from noria.core.metrics import binary, multiclass, regression
from noria.core.model.decision import DecisionPolicy, Decisions, Labels, Scores
from noria.core.model.value import value_per_1000
from noria.core.use_case import ConfusionValue, Value


def measure_predictions(
    policy: DecisionPolicy, value: Value, labels: Labels, scores: Scores, decisions: Decisions | None = None
) -> dict[str, float]:
    """Every metric of the task by name, `value` among them; what the rows cannot give is left out.

    Args:
        policy: the task, and how scores become decisions.
        value: money per outcome.
        labels: what happened; shape ``(rows,)``.
        scores: what the model says; shape ``(rows,)`` or ``(rows, classes)``.
        decisions: what was done; None takes what the policy decides.
    """
    decided = policy.decide(scores) if decisions is None else decisions
    if policy.task.is_binary and isinstance(value, ConfusionValue):
        return binary.measure(labels, scores, policy.threshold, value)
    several = policy.task.is_multiclass
    found = multiclass.measure(labels, scores, decided) if several else regression.measure(labels, scores)
    worth = value_per_1000(value, labels, decided, policy.classes)
    return found | ({"value": worth} if math.isfinite(worth) else {})
