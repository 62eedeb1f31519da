"""How scores become decisions, and what decisions are worth: the one place where the three tasks differ.

| task | labels | scores | decisions |
| --- | --- | --- | --- |
| binary classification | bool ``(rows,)`` | probability of yes, ``(rows,)`` | bool, score at least the threshold |
| multiclass | class index ``(rows,)`` | probabilities, ``(rows, classes)`` | index of the class that is worth most |
| regression | float64 ``(rows,)`` | the number, ``(rows,)`` | the scores themselves |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from noria.core.use_case import ConfusionValue, Task, UnitValue, UseCase, Value

Labels = npt.NDArray[Any]
"""What happened: bool, class index or float64; shape ``(rows,)``."""
Scores = npt.NDArray[np.float64]
"""What a model says; shape ``(rows,)``, or ``(rows, classes)`` for multiclass."""
Decisions = npt.NDArray[Any]
"""What is done: bool, class index or float64; shape ``(rows,)``."""
Money = npt.NDArray[np.float64]
"""Money per row, in the use case's currency; shape ``(rows,)``."""


class DecisionPolicy(BaseModel):
    """Turns scores into decisions; stored with each version, so that a version decides as it was judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task.BINARY_CLASSIFICATION
    threshold: float = 0.5
    """Binary classification: decide yes where the score is at least this."""
    classes: tuple[str, ...] = ()
    """Multiclass: the classes, in the order of the scores' columns."""
    payoffs: tuple[tuple[float, ...], ...] = ()
    """Multiclass: money by the class decided on, then by the class that came; empty decides for the likeliest class."""

    def decide(self, scores: Scores) -> Decisions:
        """Decisions of scores.

        With probabilities p, deciding on class d is worth ``sum over a of p[a] * payoffs[d][a]``; the class that is worth
        most wins, the first of equals (Elkan, "The Foundations of Cost-Sensitive Learning", 2001).
        """
        if self.task.is_binary:
            return scores >= self.threshold
        if self.task.is_regression:
            return scores
        worth = scores @ np.asarray(self.payoffs, dtype=np.float64).T if self.payoffs else scores
        return np.asarray(np.argmax(worth, axis=1), dtype=np.int64)

    def chosen_scores(self, scores: Scores, decisions: Decisions) -> Scores:
        """One score per row: the probability of yes, of the class decided on, or the number; shape ``(rows,)``."""
        if not self.task.is_multiclass:
            return scores
        return np.asarray(scores[np.arange(len(scores)), decisions], dtype=np.float64)

    def words(self, decisions: Decisions) -> list[bool | str | float]:
        """Decisions as people and apps get them: true or false, a class, a number."""
        if self.task.is_multiclass:
            return [self.classes[index] for index in decisions.tolist()]
        return list(decisions.tolist())


def policy_of(use_case: UseCase, threshold: float = 0.5) -> DecisionPolicy:
    """How a use case decides; the threshold matters to binary classification alone."""
    classes = use_case.label.classes if use_case.task.is_multiclass else ()
    return DecisionPolicy(
        task=use_case.task, threshold=threshold, classes=classes, payoffs=_payoffs(use_case.business.value, classes)
    )


def money(value: Value, labels: Labels, decisions: Decisions, classes: Sequence[str] = ()) -> Money:
    """Value of each decision, in the use case's currency; shape ``(rows,)``.

    Args:
        value: money per outcome.
        labels: what happened.
        decisions: what was done.
        classes: multiclass: the classes, in the order of the indices.
    """
    if isinstance(value, ConfusionValue):
        yes = np.where(labels, value.true_positive, value.false_positive)
        no = np.where(labels, value.false_negative, value.true_negative)
        return np.asarray(np.where(decisions, yes, no), dtype=np.float64)
    if isinstance(value, UnitValue):
        error = decisions - labels
        return np.asarray(np.where(error > 0, value.over * error, -value.under * error), dtype=np.float64)
    return np.asarray(_payoffs(value, classes), dtype=np.float64)[decisions, labels]


def bounds_of_difference(value: Value, one: Decisions, other: Decisions, classes: Sequence[str] = ()) -> tuple[Money, Money]:
    """Least and most that `other` can be worth more than `one` of each row, for any label; both of shape ``(rows,)``.

    Example:
        >>> value = ConfusionValue(true_positive=25, false_positive=-6, false_negative=-15, true_negative=0)
        >>> low, high = bounds_of_difference(value, np.array([False, True]), np.array([True, True]))
        >>> low.tolist(), high.tolist()
        ([-6.0, 0.0], [40.0, 0.0])
    """
    if isinstance(value, UnitValue):
        step = np.asarray(other - one, dtype=np.float64)
        ends = (
            np.where(step > 0, value.over, value.under) * np.abs(step),
            np.where(step > 0, -value.under, -value.over) * np.abs(step),
        )
        return np.minimum(*ends), np.maximum(*ends)
    if isinstance(value, ConfusionValue):
        payoffs = np.array([[value.true_negative, value.false_negative], [value.false_positive, value.true_positive]])
    else:
        payoffs = np.asarray(_payoffs(value, classes), dtype=np.float64)
    differences = payoffs[other.astype(np.int64)] - payoffs[one.astype(np.int64)]
    return differences.min(axis=1), differences.max(axis=1)


def best_quantile(value: UnitValue) -> float:
    """The quantile of what may come that costs least when the two ways to be wrong cost differently.

    ``under / (over + under)``, the critical fractile of the newsvendor (Arrow, Harris and Marschak, 1951); 0.5 where both
    cost the same or nothing.
    """
    total = value.over + value.under
    return value.under / total if total else 0.5


def nothing(task: Task, rows: int) -> Decisions | None:
    """Decisions of someone who does nothing: always no, always the first class; None for a number, which must be given."""
    if task.is_binary:
        return np.zeros(rows, dtype=np.bool_)
    return np.zeros(rows, dtype=np.int64) if task.is_multiclass else None


def perfect(value: Value, labels: Labels, classes: Sequence[str] = ()) -> Decisions:
    """Decisions of someone who knew what would come: of every row the one that is worth most."""
    if isinstance(value, UnitValue):
        return labels
    if isinstance(value, ConfusionValue):
        acts_when_true = value.true_positive >= value.false_negative
        acts_when_false = value.false_positive > value.true_negative
        return np.where(labels, acts_when_true, acts_when_false)
    best: Decisions = np.argmax(np.asarray(_payoffs(value, classes), dtype=np.float64), axis=0)
    return best[labels]


def _payoffs(value: Value, classes: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    if isinstance(value, ConfusionValue | UnitValue):
        return ()
    return tuple(tuple(value[decided][actual] for actual in classes) for decided in classes)
