"""Metrics of a predicted number.

Labels and scores are float64 of shape ``(rows,)``, in the label's unit. A metric that the rows cannot give is NaN; `measure`
leaves it out. Money is added by the caller.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from noria.core.metrics.direction import finite

Numbers = npt.NDArray[np.float64]


def measure(labels: Numbers, scores: Numbers) -> dict[str, float]:
    """Every metric by name, money excepted; what the rows cannot give is left out.

    Args:
        labels: what came.
        scores: what was predicted.
    """
    return finite(
        {
            "mae": mae(labels, scores),
            "rmse": rmse(labels, scores),
            "mape": mape(labels, scores),
            "wape": wape(labels, scores),
            "r2": r2(labels, scores),
            "bias": bias(labels, scores),
        }
    )


def mae(labels: Numbers, scores: Numbers) -> float:
    """Mean absolute error, in the label's unit."""
    return float(np.mean(np.abs(scores - labels))) if len(labels) else math.nan


def rmse(labels: Numbers, scores: Numbers) -> float:
    """Root of the mean squared error, in the label's unit."""
    return math.sqrt(np.mean((scores - labels) ** 2)) if len(labels) else math.nan


def mape(labels: Numbers, scores: Numbers) -> float:
    """Mean of the error as a share of the label (0.1 is 10 %), over rows whose label is not 0; NaN where there are none.

    Labels close to 0 rule it; `wape` has no such weakness.
    """
    some = labels != 0
    return float(np.mean(np.abs(scores[some] / labels[some] - 1))) if some.any() else math.nan


def wape(labels: Numbers, scores: Numbers) -> float:
    """Sum of absolute errors as a share of the sum of absolute labels; NaN where that sum is 0."""
    whole = float(np.sum(np.abs(labels)))
    return float(np.sum(np.abs(scores - labels))) / whole if whole else math.nan


def r2(labels: Numbers, scores: Numbers) -> float:
    """Share of the labels' variance that is explained, 1 at best; NaN where all labels are equal."""
    if not len(labels) or labels.min() == labels.max():
        return math.nan
    unexplained, whole = float(np.sum((scores - labels) ** 2)), float(np.sum((labels - labels.mean()) ** 2))
    return 1 - unexplained / whole if whole else math.nan


def bias(labels: Numbers, scores: Numbers) -> float:
    """Mean of prediction less label, in the label's unit: above 0 where too much is predicted."""
    return float(np.mean(scores - labels)) if len(labels) else math.nan


def pinball(labels: Numbers, scores: Numbers, quantile: float) -> float:
    """Mean loss, least where that quantile of the label is predicted (Koenker & Bassett, "Regression Quantiles", 1978).

    Where a unit too low costs `under` and a unit too high costs `over`, both above 0, the mean cost is ``under + over``
    times this loss at ``quantile = under / (under + over)``: predicting that quantile loses least money.

    Raises:
        ValueError: the quantile is not between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {quantile}")
    errors = labels - scores
    return float(np.mean(np.maximum(quantile * errors, (quantile - 1) * errors))) if len(labels) else math.nan
