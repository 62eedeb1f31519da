"""Metrics of binary classification.

Labels are booleans and scores probabilities of the positive class, both of shape ``(rows,)``. A metric that the rows cannot
give (one class only, no rows) is NaN; `measure` leaves it out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.metrics.direction import finite
from noria.core.metrics.ranked import RankedRows
from noria.core.model.value import value_per_1000
from noria.core.use_case import ConfusionValue

Labels = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]
BINS = 10
"""Bins of a calibration curve, as scores are usually shown."""


@dataclass(frozen=True)
class Confusion:
    """How many decisions had each outcome."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of similar scores.

    Attributes:
        score: their mean score.
        rate: share of them that was positive; equal to `score` for a calibrated model.
        rows: how many there are.
    """

    score: float
    rate: float
    rows: int


def measure(labels: Labels, scores: Scores, threshold: float, value: ConfusionValue) -> dict[str, float]:
    """Every metric by name; what the rows cannot give is left out.

    Args:
        labels: what happened.
        scores: probability that it would.
        threshold: decide yes where the score is at least this.
        value: money per outcome.
    """
    decisions = scores >= threshold
    ranked = RankedRows.of(labels, scores)
    return finite(
        {
            "roc_auc": ranked.roc_auc(),
            "average_precision": ranked.average_precision(),
            "log_loss": log_loss(labels, scores),
            "brier": brier(labels, scores),
            "calibration_error": calibration_error(labels, scores),
            "precision": precision(labels, decisions),
            "recall": recall(labels, decisions),
            "f1": f1(labels, decisions),
            "value": value_per_1000(value, labels, decisions),
        }
    )


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Probability that a positive row scores above a negative one, ties counting half (Mann-Whitney U)."""
    return RankedRows.of(labels, scores).roc_auc()


def average_precision(labels: Labels, scores: Scores) -> float:
    """Sum over distinct thresholds of precision times the recall gained there."""
    return RankedRows.of(labels, scores).average_precision()


def log_loss(labels: Labels, scores: Scores) -> float:
    """Mean negative log likelihood; scores are kept off 0 and 1 by the float64 epsilon, as scikit-learn does."""
    return float(np.mean(row_log_losses(labels, scores))) if len(labels) else math.nan


def row_log_losses(labels: Labels, scores: Scores) -> Scores:
    """Negative log likelihood of each row, whose mean is `log_loss`; shape ``(rows,)``."""
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(scores, epsilon, 1 - epsilon)
    return -np.where(labels, np.log(clipped), np.log1p(-clipped))


def brier(labels: Labels, scores: Scores) -> float:
    """Mean squared difference between score and outcome."""
    return float(np.mean((scores - labels) ** 2)) if len(labels) else math.nan


def calibration_error(labels: Labels, scores: Scores, bins: int = BINS) -> float:
    """Expected calibration error: mean distance between score and rate over equally full bins, weighted by their rows.

    Naeini, Cooper & Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015), on the equally full
    bins of Nixon et al., "Measuring Calibration in Deep Learning" (2019). Even a perfect model is a little above 0 on few
    rows, by chance: about ``0.8 * sqrt(rate * (1 - rate) * bins / rows)``.
    """
    curve = calibration_curve(labels, scores, bins)
    return sum(part.rows * abs(part.score - part.rate) for part in curve) / len(labels) if curve else math.nan


def calibration_curve(labels: Labels, scores: Scores, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Mean score and rate of equally full bins, the lowest scores first; empty where there are no rows.

    Equal scores stay together, so there are fewer bins where few scores are distinct (two for a rule that says yes or no),
    and the order of the rows does not matter.
    """
    if not len(labels):
        return ()
    order = np.argsort(scores)
    ranked = scores[order]
    cuts = np.arange(bins) * len(ranked) // bins
    starts = np.unique(np.searchsorted(ranked, ranked[cuts], side="left"))
    sizes = np.diff(starts, append=len(ranked))
    means = np.add.reduceat(ranked, starts) / sizes
    rates = np.add.reduceat(labels[order].astype(np.float64), starts) / sizes
    return tuple(map(ReliabilityBin, means.tolist(), rates.tolist(), sizes.tolist()))


def confusion(labels: Labels, decisions: Labels) -> Confusion:
    """Count the outcomes of decisions."""
    yes, positives, rows = int(decisions.sum()), int(labels.sum()), len(labels)
    hits = int((labels & decisions).sum())
    return Confusion(hits, yes - hits, positives - hits, rows - yes - positives + hits)


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
