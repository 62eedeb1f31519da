"""The probability from which a binary decision is yes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores
from noria.core.model.value import NEVER, best_threshold
from noria.core.use_case import ConfusionValue

FOLDS = 5
SIGNIFICANT = 2.58
"""Standard errors by which a threshold found on rows must be worth more than the computed one (1 % by chance)."""
MOST_POINTS = 200


@dataclass(frozen=True)
class Threshold:
    """A threshold and why it is that one.

    Attributes:
        value: decide yes where the score is at least this.
        note: one sentence for the report.
    """

    value: float
    note: str


@dataclass(frozen=True, eq=False)
class Curve:
    """What thresholds are worth on some rows.

    Attributes:
        thresholds: increasing; shape ``(points,)``.
        per_1000: money per 1,000 decisions; shape ``(points,)``.
    """

    thresholds: npt.NDArray[np.float64]
    per_1000: npt.NDArray[np.float64]


def threshold_curve(value: ConfusionValue, labels: Labels, scores: Scores, points: int = MOST_POINTS) -> Curve:
    """Money per 1,000 decisions over thresholds at the quantiles of the scores, and one that no score reaches."""
    thresholds = np.unique(np.append(np.quantile(scores, np.linspace(0, 1, points)), NEVER))
    order = np.argsort(scores, kind="stable")
    gains = np.where(labels, value.true_positive - value.false_negative, value.false_positive - value.true_negative)
    from_here = np.append(np.cumsum(gains[order][::-1])[::-1], 0.0)  # what yes from this row on is worth more than no
    nothing = float(np.where(labels, value.false_negative, value.true_negative).sum())
    first = np.searchsorted(scores[order], thresholds, side="left")
    return Curve(thresholds, 1000 * (nothing + from_here[first]) / len(labels))


def choose_threshold(value: ConfusionValue, labels: Labels, scores: Scores) -> Threshold:
    """The computed threshold, unless one found on these rows is worth significantly more on rows it was not found on.

    On probabilities that mean what they say the computed one (Elkan, 2001) is best, and has no noise; one that is searched
    for would follow the noise of its rows. Each fifth of the rows is decided on by the threshold that the others found.

    Args:
        value: money per outcome.
        labels: what happened.
        scores: calibrated probabilities of rows that neither the model nor the calibration was fitted to.
    """
    computed = best_threshold(value)
    if computed in {0.0, NEVER}:
        return Threshold(computed, "the threshold follows from the money alone: one decision always pays")
    gains = np.where(labels, value.true_positive - value.false_negative, value.false_positive - value.true_negative)
    lead = np.zeros(len(labels))
    turns = np.arange(len(labels)) % FOLDS
    for turn in range(FOLDS):
        own = turns == turn
        found = _highest(value, labels[~own], scores[~own])
        lead[own] = gains[own] * ((scores[own] >= found).astype(np.float64) - (scores[own] >= computed))
    error = float(lead.std()) / len(lead) ** 0.5
    mean = float(lead.mean())
    worth = f"{1000 * mean:.2f} ± {1000 * 1.96 * error:.2f} per 1,000 decisions"
    if error > 0 and mean > SIGNIFICANT * error:
        found = _highest(value, labels, scores)
        return Threshold(found, f"threshold {found:.4f} found on calibration rows: worth {worth} more than {computed:.4f}")
    return Threshold(computed, f"threshold {computed:.4f} computed from the money; a searched one is worth {worth} more")


def _highest(value: ConfusionValue, labels: Labels, scores: Scores) -> float:
    curve = threshold_curve(value, labels, scores)
    return float(curve.thresholds[int(np.argmax(curve.per_1000))])
