"""Metrics in numpy alone, so that training, gates and monitoring measure the same thing: one module per task.

The names here are those of binary classification and of `better`; the other tasks are `noria.core.metrics.multiclass`,
`noria.core.metrics.regression` and `noria.core.metrics.ranking`.
"""

from noria.core.metrics.binary import (
    CalibrationBin,
    Confusion,
    Labels,
    Scores,
    average_precision,
    brier,
    calibration_curve,
    calibration_error,
    confusion,
    f1,
    log_loss,
    measure,
    precision,
    recall,
    roc_auc,
)
from noria.core.metrics.direction import LOWER_IS_BETTER, better, goodness

__all__ = [
    "LOWER_IS_BETTER",
    "CalibrationBin",
    "Confusion",
    "Labels",
    "Scores",
    "average_precision",
    "better",
    "brier",
    "calibration_curve",
    "calibration_error",
    "confusion",
    "f1",
    "goodness",
    "log_loss",
    "measure",
    "precision",
    "recall",
    "roc_auc",
]
