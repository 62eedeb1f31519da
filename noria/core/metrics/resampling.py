"""Metrics as functions of drawn rows, for `noria.core.stats.jackknife`: what needs a sort, or a logarithm per row, is done
once.

Each function here takes a metric by the name under which `measure` reports it, and the same arrays as `measure`. Money is
the mean of money per row: `mean_of_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from noria.core.metrics import binary, multiclass, regression
from noria.core.metrics.ranked import RankedRows

Ints = npt.NDArray[np.int64]
Statistic = Callable[[Ints], float]
"""A metric of drawn rows: takes row numbers, repeats included, and gives NaN where they cannot tell."""

_BINARY_DECISIONS = {"precision": binary.precision, "recall": binary.recall, "f1": binary.f1}
_MULTICLASS_DECISIONS = {
    "accuracy": multiclass.accuracy,
    "balanced_accuracy": multiclass.balanced_accuracy,
    "macro_precision": multiclass.macro_precision,
    "macro_recall": multiclass.macro_recall,
    "macro_f1": multiclass.macro_f1,
}
_REGRESSION = {
    "mae": regression.mae,
    "rmse": regression.rmse,
    "mape": regression.mape,
    "wape": regression.wape,
    "r2": regression.r2,
    "bias": regression.bias,
}


def mean_of_rows(values: npt.NDArray[np.float64]) -> Statistic:
    """The mean of something that each row has, such as money; shape ``(rows,)``."""
    return lambda drawn: float(np.mean(values[drawn])) if len(drawn) else math.nan


def binary_statistic(metric: str, labels: binary.Labels, scores: binary.Scores, threshold: float) -> Statistic:
    """A metric of `noria.core.metrics.binary`, money excepted.

    Raises:
        ValueError: there is no such metric.
    """
    if metric in _BINARY_DECISIONS:
        measured, decisions = _BINARY_DECISIONS[metric], scores >= threshold
        return lambda drawn: measured(labels[drawn], decisions[drawn])
    build: dict[str, Callable[[], Statistic]] = {
        "roc_auc": lambda: RankedRows.of(labels, scores).roc_auc,
        "average_precision": lambda: RankedRows.of(labels, scores).average_precision,
        "log_loss": lambda: mean_of_rows(binary.row_log_losses(labels, scores)),
        "brier": lambda: mean_of_rows((scores - labels) ** 2),
        "calibration_error": lambda: lambda drawn: binary.calibration_error(labels[drawn], scores[drawn]),
    }
    if metric not in build:
        raise _unknown(metric, "binary classification", [*build, *_BINARY_DECISIONS])
    return build[metric]()


def multiclass_statistic(
    metric: str, labels: multiclass.Classes, scores: multiclass.Probabilities, decisions: multiclass.Classes
) -> Statistic:
    """A metric of `noria.core.metrics.multiclass`.

    Raises:
        ValueError: there is no such metric.
    """
    if metric in _MULTICLASS_DECISIONS:
        measured = _MULTICLASS_DECISIONS[metric]
        return lambda drawn: measured(labels[drawn], decisions[drawn])
    build: dict[str, Callable[[], Statistic]] = {
        "roc_auc": lambda: partial(multiclass.mean_auc, multiclass.ranked_by_class(labels, scores)),
        "log_loss": lambda: mean_of_rows(multiclass.row_log_losses(labels, scores)),
        "brier": lambda: mean_of_rows(multiclass.row_briers(labels, scores)),
        "calibration_error": lambda: lambda drawn: multiclass.calibration_error(labels[drawn], scores[drawn]),
    }
    if metric not in build:
        raise _unknown(metric, "a choice among classes", [*build, *_MULTICLASS_DECISIONS])
    return build[metric]()


def regression_statistic(metric: str, labels: regression.Numbers, scores: regression.Numbers) -> Statistic:
    """A metric of `noria.core.metrics.regression`.

    Raises:
        ValueError: there is no such metric.
    """
    if metric not in _REGRESSION:
        raise _unknown(metric, "a predicted number", list(_REGRESSION))
    measured = _REGRESSION[metric]
    return lambda drawn: measured(labels[drawn], scores[drawn])


def _unknown(metric: str, task: str, known: list[str]) -> ValueError:
    return ValueError(f"{metric} is no metric of {task}; these are: {', '.join(sorted(known))}")
