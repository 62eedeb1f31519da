"""What every kind of model shares: it adds numbers up to a margin, and a link turns the margin into a score.

The margin is the log odds of yes, one log weight per class, or the label itself. It is where contributions add up, where
several models can be averaged, and where the weights given to rare classes are taken out again.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.model.calibration import softmax
from noria.core.model.decision import Labels, Scores
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import ExplainerPart
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Contributions, Params
from noria.training.models.base.onnx_graph import GraphPart, assemble

Margins = npt.NDArray[np.float64]
"""Shape ``(rows, outputs)``; see `Goal.outputs`."""
_EDGE = 1e-7


class FittedEstimator(Protocol):
    """A fitted model."""

    def margins(self, matrix: Matrix) -> Margins:
        """Margins of encoded rows; shape ``(rows, outputs)``."""
        ...

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """SHAP values of the margins; shape ``(rows, outputs, width)``."""
        ...

    def explained(self) -> tuple[ExplainerPart, ...]:
        """Arrays from which the same contributions come out where this library is not."""
        ...

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins; `name` makes the nodes' names unlike those of other parts."""
        ...


class MarginModel:
    """The half of a candidate that is the same for every kind of model."""

    def __init__(self, target: PredictionTarget) -> None:
        self.target = target

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other hyperparameters that are worth a trial before any are drawn; none, unless the kind knows some."""
        return ()

    def predict(self, estimator: Any, matrix: Matrix) -> Scores:
        """Uncalibrated scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
        return scores_of(self.target, estimator.margins(matrix))

    def contributions(self, estimator: Any, matrix: Matrix) -> Contributions:
        """Exact SHAP values of the encoded columns: log odds (per class for multiclass), or the label's unit."""
        found: Contributions = estimator.contributions(matrix)
        return found if self.target.task.is_multiclass else found[:, 0, :]

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The estimator alone as an ONNX graph; its last output is what the task's predictor reads."""
        return assemble(self.target.task, width, estimator.part("model"))


def scores_of(target: PredictionTarget, margins: Margins) -> Scores:
    """Margins as scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
    if target.task.is_regression:
        return margins[:, 0]
    if target.task.is_binary:
        # Not `sigmoid`: margins of trees can be so large that it overflows.
        small = np.exp(-np.abs(margins[:, 0]))
        return np.where(margins[:, 0] >= 0, 1 / (1 + small), small / (1 + small))
    return softmax(margins)


def margins_of(target: PredictionTarget, scores: Scores) -> Margins:
    """Scores as margins, as far as float64 can tell; the inverse of `scores_of` (of classes, up to a constant per row)."""
    if target.task.is_regression:
        return scores[:, None]
    clipped = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(clipped) if target.task.is_multiclass else (np.log(clipped) - np.log1p(-clipped))[:, None]


def loss_of(target: PredictionTarget, labels: Labels, margins: Margins) -> float:
    """The task's own loss, which fits are stopped by: log loss, or mean squared error."""
    if target.task.is_regression:
        return float(np.mean((margins[:, 0] - labels) ** 2))
    if target.task.is_binary:
        return float(np.mean(np.logaddexp(0.0, np.where(labels, -margins[:, 0], margins[:, 0]))))
    highest = margins.max(axis=1)
    spread = np.log(np.exp(margins - highest[:, None]).sum(axis=1)) + highest
    return float(np.mean(spread - margins[np.arange(len(labels)), labels]))


def priors(target: PredictionTarget, labels: Labels) -> npt.NDArray[np.float64]:
    """Margins of who knows nothing of a row but how often each outcome came; shape ``(outputs,)``."""
    if target.task.is_regression:
        return np.array([np.mean(labels)], dtype=np.float64)
    if target.task.is_binary:
        rate = (float(labels.sum()) + 0.5) / (len(labels) + 1)
        return np.array([np.log(rate / (1 - rate))], dtype=np.float64)
    counts = np.bincount(labels, minlength=target.classes) + 0.5
    return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)


def class_weights(target: PredictionTarget, labels: Labels, balance: float) -> npt.NDArray[np.float64]:
    """Log weight of each class (binary: no, yes), 0 where `balance` is 0; at 1 all classes weigh the same.

    A model fitted with these weights gives margins that are too high by the same log weights (Elkan, 2001, theorem 2),
    which is how they are taken out again: weights change what a model looks at, not the level of what it says.
    """
    counts = np.bincount(labels.astype(np.int64), minlength=target.classes) + 0.5
    return np.asarray(-balance * np.log(counts / counts.max()), dtype=np.float64)


def weight_shift(target: PredictionTarget, log_weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By how much margins are too high after a fit with such weights; shape ``(outputs,)``."""
    return log_weights if target.task.is_multiclass else log_weights[1:] - log_weights[:1]
