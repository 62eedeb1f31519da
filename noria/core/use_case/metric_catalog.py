"""Every metric that a gate or a search can name: which way is better, which tasks have it, its title, how it is shown.

A new metric is an entry here and a function in `noria.core.metrics`, measured by the module of its task; one that a search
can optimise also has a function in `noria.training.data.search_metric`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from noria.core.base.formatting import decimal, money, number, percent, plain_name
from noria.core.use_case.target import Task

_YES_OR_NO, _CLASSES, _NUMBERS = (Task.BINARY_CLASSIFICATION,), (Task.MULTICLASS,), (Task.REGRESSION,)
_RISKS = _YES_OR_NO + _CLASSES
"""Tasks whose scores are probabilities."""
_ALL = tuple(Task)


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher is better"
    LOWER = "lower is better"
    NEARER_ZERO = "nearer 0 is better"


@dataclass(frozen=True)
class MetricDefinition:
    """A metric by name.

    Attributes:
        name: as a use case and a report write it.
        title: as the field writes it.
        meaning: what it says, in a few words.
        direction: which way is better.
        gates: tasks whose gates can name it.
        searches: tasks whose search can optimise it.
        shown: writes a figure of it; the same digits everywhere.
    """

    name: str
    title: str
    meaning: str
    direction: Direction = Direction.HIGHER
    gates: tuple[Task, ...] = ()
    searches: tuple[Task, ...] = ()
    shown: Callable[[float | None], str] = decimal


_LOWER = Direction.LOWER
_share = partial(percent, digits=1)
_METRICS = (
    MetricDefinition(
        "roc_auc", "ROC AUC", "how well rows are put in order; 0.5 is chance, 1 is perfect", gates=_RISKS, searches=_RISKS,
    ),
    MetricDefinition(
        "average_precision", "Average precision", "how pure the top of the list is, over all lengths of list",
        gates=_YES_OR_NO, searches=_YES_OR_NO,
    ),
    MetricDefinition(
        "log_loss", "Log loss", "how far probabilities are from what came", _LOWER, gates=_RISKS, searches=_RISKS,
    ),
    MetricDefinition("brier", "Brier score", "mean squared error of the probabilities", _LOWER, gates=_RISKS),
    MetricDefinition(
        "calibration_error", "Calibration error", "mean distance between what is said and how often it comes", _LOWER,
        gates=_RISKS,
    ),
    MetricDefinition("precision", "Precision", "share of yes decisions that were right", gates=_YES_OR_NO),
    MetricDefinition("recall", "Recall", "share of what came that was decided yes", gates=_YES_OR_NO),
    MetricDefinition("f1", "F1", "harmonic mean of precision and recall", gates=_YES_OR_NO),
    MetricDefinition("value", "Value", "money per 1,000 decisions", gates=_ALL, shown=money),
    MetricDefinition(
        "accuracy", "Accuracy", "share of decisions that named what came", gates=_CLASSES, searches=_CLASSES,
    ),
    MetricDefinition("balanced_accuracy", "Balanced accuracy", "share right, every class counting alike", gates=_CLASSES),
    MetricDefinition("macro_precision", "Macro precision", "precision, every class counting alike", gates=_CLASSES),
    MetricDefinition("macro_recall", "Macro recall", "recall, every class counting alike", gates=_CLASSES),
    MetricDefinition("macro_f1", "Macro F1", "F1, every class counting alike", gates=_CLASSES, searches=_CLASSES),
    MetricDefinition(
        "mae", "Mean absolute error", "in the unit of what is predicted", _LOWER, gates=_NUMBERS, searches=_NUMBERS,
    ),
    MetricDefinition(
        "rmse", "Root mean squared error", "as the mean absolute error, large errors counting more", _LOWER,
        gates=_NUMBERS, searches=_NUMBERS,
    ),
    MetricDefinition(
        "mape", "Mean absolute percentage error", "error as a share of what came", _LOWER, gates=_NUMBERS, shown=_share,
    ),
    MetricDefinition(
        "wape", "Weighted percentage error", "sum of errors as a share of the sum of what came", _LOWER,
        gates=_NUMBERS, shown=_share,
    ),
    MetricDefinition("r2", "R²", "share of the variation that is explained", gates=_NUMBERS),
    MetricDefinition(
        "bias", "Bias (+ too high)", "mean of prediction less what came", Direction.NEARER_ZERO,
        gates=_NUMBERS, shown=partial(decimal, signed=True),
    ),
    MetricDefinition(
        "demographic_parity", "Demographic parity", "largest difference between the yes rates of two groups", _LOWER,
        gates=_YES_OR_NO,
    ),
    MetricDefinition(
        "equalised_odds", "Equalised odds", "largest difference between the error rates of two groups", _LOWER,
        gates=_YES_OR_NO,
    ),
    MetricDefinition("disparate_impact", "Disparate impact", "lowest yes rate over the highest", gates=_YES_OR_NO),
    MetricDefinition(
        "parity", "Parity", "largest difference between what was trained and what serves", _LOWER,
        gates=_ALL, shown=partial(number, digits=1),
    ),
    MetricDefinition("latency_ms", "Latency", "milliseconds of one prediction", _LOWER, gates=_ALL),
    MetricDefinition("size_mb", "Size", "megabytes of the bundle", _LOWER, gates=_ALL),
    MetricDefinition("pinball", "Pinball loss", "loss of the quantile that costs least", _LOWER, searches=_NUMBERS),
)  # fmt: skip
DEFINITIONS: Mapping[str, MetricDefinition] = {metric.name: metric for metric in _METRICS}
"""Every metric, by name."""
if TYPE_CHECKING:
    MetricName: TypeAlias = str
    SearchMetric: TypeAlias = str
else:
    MetricName = Literal[tuple(metric.name for metric in _METRICS if metric.gates)]
    """Names that a gate can have."""
    SearchMetric = Literal[tuple(metric.name for metric in _METRICS if metric.searches)]
    """Names that `training.metric` can have."""


def gate_metrics(task: Task) -> tuple[str, ...]:
    """Metrics that a gate can name for a task.

    Example:
        >>> "recall" in gate_metrics(Task.BINARY_CLASSIFICATION), "recall" in gate_metrics(Task.REGRESSION)
        (True, False)
    """
    return tuple(metric.name for metric in _METRICS if task in metric.gates)


def search_metrics(task: Task) -> tuple[str, ...]:
    """Metrics that a search of a task can optimise; `pinball` is the loss of the quantile that the two unit costs make best.

    Example:
        >>> search_metrics(Task.REGRESSION)
        ('mae', 'rmse', 'pinball')
    """
    return tuple(metric.name for metric in _METRICS if task in metric.searches)


def definition(metric: str) -> MetricDefinition:
    """The metric of that name; for a name that is not listed, one with its own name as title.

    Example:
        >>> definition("rmse").title, definition("rmse").direction.value
        ('Root mean squared error', 'lower is better')
    """
    return DEFINITIONS.get(metric) or MetricDefinition(metric, plain_name(metric), "")


def figure(metric: str, value: float | None) -> str:
    """A figure of a metric as people read it, without its unit; `–` where there is none.

    Example:
        >>> figure("wape", 0.123), figure("value", 700.6), figure("roc_auc", None)
        ('12.3 %', '701', '–')
    """
    return definition(metric).shown(value)


def gap(metric: str, difference: float | None) -> str:
    """A difference of two figures of a metric, with its sign.

    Example:
        >>> gap("roc_auc", 0.0213), gap("wape", -0.01)
        ('+0.021', '−1.0 %')
    """
    text = figure(metric, difference)
    return text if difference is None or difference <= 0 or not text.strip("0.,% –") else f"+{text.removeprefix('+')}"
