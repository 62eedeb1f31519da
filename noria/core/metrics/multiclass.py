"""Metrics of a choice among classes.

Labels and decisions are class indexes (int64, shape ``(rows,)``), scores probabilities of shape ``(rows, classes)`` whose
rows add up to 1. A metric that the rows cannot give is NaN; `measure` leaves it out. Money is added by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.metrics import binary
from noria.core.metrics.direction import finite
from noria.core.metrics.ranked import RankedRows

Classes = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def measure(labels: Classes, scores: Probabilities, decisions: Classes) -> dict[str, float]:
    """Every metric by name, money excepted; what the rows cannot give is left out.

    Args:
        labels: the class that came.
        scores: probability of each class.
        decisions: the class decided on, which need not be the likeliest.
    """
    return finite(
        {
            "accuracy": accuracy(labels, decisions),
            "balanced_accuracy": balanced_accuracy(labels, decisions),
            "macro_precision": macro_precision(labels, decisions),
            "macro_recall": macro_recall(labels, decisions),
            "macro_f1": macro_f1(labels, decisions),
            "roc_auc": roc_auc(labels, scores),
            "log_loss": log_loss(labels, scores),
            "brier": brier(labels, scores),
            "calibration_error": calibration_error(labels, scores),
        }
    )


def confusion(labels: Classes, decisions: Classes, classes: int) -> Counts:
    """Rows per outcome, shape ``(classes, classes)``: ``[came, decided]``.

    Args:
        labels: the class that came.
        decisions: the class decided on.
        classes: how many classes there are, those without a row included.

    Raises:
        ValueError: an index is below 0, or not below `classes`.
    """
    if len(labels) and not 0 <= min(labels.min(), decisions.min()) <= max(labels.max(), decisions.max()) < classes:
        raise ValueError(f"a class index is outside 0 to {classes - 1}: are labels and decisions of the same classes?")
    cells = np.bincount(labels * classes + decisions, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(labels: Classes, decisions: Classes) -> float:
    """Share of decisions that were right."""
    return float(np.mean(labels == decisions)) if len(labels) else math.nan


def balanced_accuracy(labels: Classes, decisions: Classes) -> float:
    """Mean over the classes that came of the share of their rows that was decided right."""
    tally = _tally(labels, decisions)
    some = tally.came > 0
    return _mean_share(tally.right[some], tally.came[some])


def macro_precision(labels: Classes, decisions: Classes) -> float:
    """Mean precision over the classes that came or were decided on; one never decided on counts 0, as in scikit-learn."""
    tally = _tally(labels, decisions)
    return _mean_share(tally.right, tally.decided)


def macro_recall(labels: Classes, decisions: Classes) -> float:
    """Mean recall over the classes that came or were decided on; one that never came counts 0, as in scikit-learn."""
    tally = _tally(labels, decisions)
    return _mean_share(tally.right, tally.came)


def macro_f1(labels: Classes, decisions: Classes) -> float:
    """Mean F1 over the classes that came or were decided on."""
    tally = _tally(labels, decisions)
    return _mean_share(2 * tally.right, tally.came + tally.decided)


def roc_auc(labels: Classes, scores: Probabilities) -> float:
    """Mean over the classes that came of the ROC AUC of each against the rest; NaN where only one came."""
    return mean_auc(ranked_by_class(labels, scores))


def ranked_by_class(labels: Classes, scores: Probabilities) -> tuple[RankedRows, ...]:
    """The rows sorted by each class's score, that class being positive."""
    return tuple(RankedRows.of(labels == index, scores[:, index]) for index in range(scores.shape[1]))


def mean_auc(ranked: Sequence[RankedRows], drawn: Counts | None = None) -> float:
    """Mean ROC AUC over classes that can give one.

    Args:
        ranked: the rows sorted by each class's score.
        drawn: row numbers to measure, repeats included; all rows once by default.
    """
    found = [auc for auc in (rows.roc_auc(drawn) for rows in ranked) if not math.isnan(auc)]
    return sum(found) / len(found) if found else math.nan


def log_loss(labels: Classes, scores: Probabilities) -> float:
    """Mean negative log of the probability given to the class that came, kept off 0 by the float64 epsilon."""
    return float(np.mean(row_log_losses(labels, scores))) if len(labels) else math.nan


def row_log_losses(labels: Classes, scores: Probabilities) -> Probabilities:
    """Negative log likelihood of each row, whose mean is `log_loss`."""
    given = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)[:, 0]
    epsilon = np.finfo(np.float64).eps
    losses: Probabilities = -np.log(np.clip(given, epsilon, 1 - epsilon))
    return losses


def brier(labels: Classes, scores: Probabilities) -> float:
    """Mean over rows of the squared differences between scores and outcome, added up over classes: 0 to 2.

    Brier, "Verification of Forecasts Expressed in Terms of Probability" (1950). Of two classes it is twice the binary one.
    """
    return float(np.mean(row_briers(labels, scores))) if len(labels) else math.nan


def row_briers(labels: Classes, scores: Probabilities) -> Probabilities:
    """Squared differences of each row, whose mean is `brier`."""
    came = labels[:, np.newaxis] == np.arange(scores.shape[1])
    squares: Probabilities = np.sum((scores - came) ** 2, axis=1)
    return squares


def calibration_error(labels: Classes, scores: Probabilities, bins: int = binary.BINS) -> float:
    """Mean over all classes of the expected calibration error of each against the rest.

    Class-wise, since decisions by money look at the probability of every class and not at the highest one alone (Kull et
    al., "Beyond temperature scaling", 2019). Of two classes it is the binary one.
    """
    if not len(labels):
        return math.nan
    classes = range(scores.shape[1])
    return float(np.mean([binary.calibration_error(labels == index, scores[:, index], bins) for index in classes]))


@dataclass(frozen=True)
class _Tally:
    """Rows per class that came or was decided on."""

    right: Counts
    came: Counts
    decided: Counts


def _tally(labels: Classes, decisions: Classes) -> _Tally:
    classes = 1 + int(max(labels.max(), decisions.max())) if len(labels) else 0
    came, decided = np.bincount(labels, minlength=classes), np.bincount(decisions, minlength=classes)
    right = np.bincount(labels[labels == decisions], minlength=classes)
    some = (came + decided) > 0
    return _Tally(right[some], came[some], decided[some])


def _mean_share(parts: Counts, wholes: Counts) -> float:
    """Mean share over classes, 0 where the whole is; NaN where there are no classes."""
    return float(np.mean(parts / np.maximum(wholes, 1))) if len(wholes) else math.nan
