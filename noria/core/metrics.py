"""Metrics of binary classification, in numpy alone, so that training, gates and monitoring measure the same thing.

Labels are booleans and scores probabilities of the positive class, both of shape ``(rows,)``. A metric that the rows cannot
give (one class only, no rows) is NaN; `measure` leaves it out.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from noria.core.use_case import ConfusionValue
from noria.core.value import value_per_1000

Labels = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]
LOWER_IS_BETTER = frozenset({"log_loss", "brier"})


def measure(labels: Labels, scores: Scores, threshold: float, value: ConfusionValue) -> dict[str, float]:
    """Every metric by name; what the rows cannot give is left out.

    Args:
        labels: what happened.
        scores: probability that it would.
        threshold: decide yes where the score is at least this.
        value: money per outcome.
    """
    decisions = scores >= threshold
    found = {
        "roc_auc": roc_auc(labels, scores),
        "average_precision": average_precision(labels, scores),
        "log_loss": log_loss(labels, scores),
        "brier": brier(labels, scores),
        "precision": precision(labels, decisions),
        "recall": recall(labels, decisions),
        "f1": f1(labels, decisions),
        "value": value_per_1000(value, labels, decisions),
    }
    return {name: metric for name, metric in found.items() if math.isfinite(metric)}


def better(metric: str, candidate: float, rival: float) -> bool:
    """Whether the candidate is strictly better; false where either is NaN."""
    return candidate < rival if metric in LOWER_IS_BETTER else candidate > rival


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Probability that a positive row scores above a negative one, ties counting half (Mann-Whitney U)."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = float(middle_rank[group][labels].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(labels: Labels, scores: Scores) -> float:
    """Sum over distinct thresholds of precision times the recall gained there."""
    positives = int(labels.sum())
    if not positives:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    precision_at = hits[last_of_tie] / (last_of_tie + 1)
    recall_gain = np.diff(hits[last_of_tie], prepend=0) / positives
    return float(np.sum(precision_at * recall_gain))


def log_loss(labels: Labels, scores: Scores) -> float:
    """Mean negative log likelihood; scores are kept off 0 and 1 by the float64 epsilon, as scikit-learn does."""
    if not len(labels):
        return math.nan
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(scores, epsilon, 1 - epsilon)
    return float(-np.mean(np.where(labels, np.log(clipped), np.log1p(-clipped))))


def brier(labels: Labels, scores: Scores) -> float:
    """Mean squared difference between score and outcome."""
    return float(np.mean((scores - labels) ** 2)) if len(labels) else math.nan


def precision(labels: Labels, decisions: Labels) -> float:
    """Share of yes decisions that were right; 0 where none was made."""
    return _share(int((labels & decisions).sum()), int(decisions.sum())) if len(labels) else math.nan


def recall(labels: Labels, decisions: Labels) -> float:
    """Share of positive rows that were decided yes; NaN where there are none."""
    positives = int(labels.sum())
    return int((labels & decisions).sum()) / positives if positives else math.nan


def f1(labels: Labels, decisions: Labels) -> float:
    """Harmonic mean of precision and recall; NaN where there are no positive rows."""
    if not labels.any():
        return math.nan
    return _share(2 * int((labels & decisions).sum()), int(labels.sum()) + int(decisions.sum()))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
