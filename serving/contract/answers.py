"""Scores and decisions of a version for some instances; responses, journal lines and counters are made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from noria.core.model.decision import DecisionPolicy, Scores
from noria.core.use_case import Task

Decision = bool | str | float
"""Yes or no, a class, or a number."""


class Answers(NamedTuple):
    """Answer for each instance, in the order of the request.

    Attributes:
        task: kind of prediction.
        scores: probability of yes or of the class decided on, or the number itself.
        decisions: yes or no, a class, or the number itself.
        threshold: least score of a yes; None unless the task is binary classification.
        probabilities: probability of every class; empty unless the task is multiclass.
    """

    task: Task
    scores: tuple[float, ...]
    decisions: tuple[Decision, ...]
    threshold: float | None = None
    probabilities: tuple[dict[str, float], ...] = ()

    def counts(self) -> Mapping[str, int]:
        """Count of each decision, by the counters' word for it: yes and no, a class, or `number`."""
        if self.task.is_regression:
            return {"number": len(self.decisions)}
        if self.task.is_multiclass:
            return Counter(str(decision) for decision in self.decisions)
        yes = sum(decision is True for decision in self.decisions)
        return {"yes": yes, "no": len(self.decisions) - yes}


def answers_of(policy: DecisionPolicy, scores: Scores) -> Answers:
    """Decide from scores.

    Args:
        policy: of the version.
        scores: shape ``(rows,)``, or ``(rows, classes)`` for multiclass; all valid, see `serving.contract.scores`.
    """
    decisions = policy.decide(scores)
    multiclass = policy.task.is_multiclass
    return Answers(
        task=policy.task,
        scores=tuple(policy.chosen_scores(scores, decisions).tolist()),
        decisions=tuple(policy.words(decisions)),
        threshold=policy.threshold if policy.task.is_binary else None,
        probabilities=tuple(dict(zip(policy.classes, row, strict=True)) for row in scores.tolist()) if multiclass else (),
    )


def answers_of_one(policy: DecisionPolicy, score: float) -> Answers:
    """Decide from the score of one instance; not for multiclass."""
    if policy.task.is_binary:
        return Answers(policy.task, (score,), (score >= policy.threshold,), policy.threshold)
    return Answers(policy.task, (score,), (score,))
