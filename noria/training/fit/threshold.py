"""The decision threshold of binary classification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores, money
from noria.core.model.value import NEVER, best_threshold
from noria.core.use_case import ConfusionValue
from noria.training.data.cross_folds import cross_folds

SIGNIFICANT = 2.58
"""Standard errors by which a searched threshold must be worth more than the computed one (1 % by chance)."""
MOST_POINTS = 200
_PER = 1000.0


@dataclass(frozen=True)
class Threshold:
    """A threshold with its reason.

    Attributes:
        value: decide yes if the score is at least this.
        note: one sentence for the report.
    """

    value: float
    note: str


def threshold_curve(
    value: ConfusionValue, labels: Labels, scores: Scores, thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Money per 1,000 decisions at each threshold; shape ``(thresholds,)``.

    Args:
        value: money per outcome.
        labels: flags; shape ``(rows,)``.
        scores: probabilities; shape ``(rows,)``.
        thresholds: decide yes if the score is at least this.
    """
    order = np.argsort(scores, kind="stable")
    every = np.ones(len(scores), dtype=np.bool_)
    yes, no = _PER * money(value, labels, every)[order], _PER * money(value, labels, ~every)[order]
    no_below = np.concatenate(([0.0], np.cumsum(no)))
    yes_from = yes.sum() - np.concatenate(([0.0], np.cumsum(yes)))
    first_yes = np.searchsorted(scores[order], thresholds, side="left")
    return np.asarray((no_below + yes_from)[first_yes] / len(scores), dtype=np.float64)


def choose_threshold(value: ConfusionValue, labels: Labels, scores: Scores) -> Threshold:
    """The computed threshold, or a searched one if that is worth significantly more on rows it was not searched on.

    On calibrated probabilities the computed one (Elkan, 2001) is optimal, and has no noise; a searched one follows the noise
    of its rows. Each fifth of the rows is decided with the threshold that was searched on the others.

    Args:
        value: money per outcome.
        labels: flags; shape ``(rows,)``.
        scores: calibrated probabilities of rows that neither the model nor the calibration was fitted to.
    """
    computed = best_threshold(value)
    if computed in {0.0, NEVER}:
        return Threshold(computed, "the threshold follows from the money alone: one decision always pays")
    lead = _lead_of_search(value, labels, scores, computed)
    mean, error = float(lead.mean()), float(lead.std()) / len(lead) ** 0.5
    worth = f"{1000 * mean:.2f} ± {1000 * 1.96 * error:.2f} per 1,000 decisions"
    if error > 0 and mean > SIGNIFICANT * error:
        searched = _searched(value, labels, scores)
        note = f"threshold {searched:.4f} found on calibration rows: worth {worth} more than {computed:.4f}"
        return Threshold(searched, note)
    return Threshold(computed, f"threshold {computed:.4f} computed from the money; a searched one is worth {worth} more")


def _lead_of_search(value: ConfusionValue, labels: Labels, scores: Scores, computed: float) -> npt.NDArray[np.float64]:
    """Money per row of a searched threshold less that of the computed one, out of fold; shape ``(rows,)``."""
    gains = np.where(labels, value.true_positive - value.false_negative, value.false_positive - value.true_negative)
    lead = np.zeros(len(labels))
    for others, own in cross_folds(len(labels)):
        searched = _searched(value, labels[others], scores[others])
        lead[own] = gains[own] * ((scores[own] >= searched).astype(np.float64) - (scores[own] >= computed))
    return lead


def _searched(value: ConfusionValue, labels: Labels, scores: Scores) -> float:
    """The best of thresholds at quantiles of the scores, and of one that no score reaches."""
    thresholds = np.unique(np.append(np.quantile(scores, np.linspace(0, 1, MOST_POINTS)), NEVER))
    return float(thresholds[int(np.argmax(threshold_curve(value, labels, scores, thresholds)))])
