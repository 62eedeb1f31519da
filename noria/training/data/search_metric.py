"""Search metrics: one table of functions, by task and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from noria.core.metrics import binary, multiclass, regression
from noria.core.metrics.direction import LOWER_IS_BETTER
from noria.core.model.decision import Labels, Scores
from noria.core.use_case import Task
from noria.training.data.target import PredictionTarget

Metric = Callable[[Labels, Scores], float]
"""A search metric of labels and scores."""


@dataclass(frozen=True)
class SearchMeasure:
    """A search metric.

    Attributes:
        name: as in `training.metric`.
        measure: the metric of labels and uncalibrated scores, in the shapes of `noria.core.model.decision`.
        lower_is_better: whether it is a loss.
    """

    name: str
    measure: Metric
    lower_is_better: bool

    @property
    def direction(self) -> str:
        """`minimize` or `maximize`, in Optuna's words."""
        return "minimize" if self.lower_is_better else "maximize"

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one < other if self.lower_is_better else one > other


def search_measure(name: str, target: PredictionTarget) -> SearchMeasure:
    """The search metric of that name for a target.

    Raises:
        KeyError: the task has no such metric.
    """
    if name == "pinball":
        return SearchMeasure(name, partial(regression.pinball, quantile=target.quantile), lower_is_better=True)
    return SearchMeasure(name, _METRICS[target.task][name], lower_is_better=name in LOWER_IS_BETTER)


def _accuracy(labels: Labels, scores: Scores) -> float:
    return multiclass.accuracy(labels, np.argmax(scores, axis=1))


def _macro_f1(labels: Labels, scores: Scores) -> float:
    return multiclass.macro_f1(labels, np.argmax(scores, axis=1))


_METRICS: Mapping[Task, Mapping[str, Metric]] = {
    Task.BINARY_CLASSIFICATION: {
        "average_precision": binary.average_precision,
        "roc_auc": binary.roc_auc,
        "log_loss": binary.log_loss,
    },
    Task.MULTICLASS: {
        "log_loss": multiclass.log_loss,
        "accuracy": _accuracy,
        "macro_f1": _macro_f1,
        "roc_auc": multiclass.roc_auc,
    },
    Task.REGRESSION: {"rmse": regression.rmse, "mae": regression.mae},
}
