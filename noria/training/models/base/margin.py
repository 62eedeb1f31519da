"""Margins: the sums of every kind of model, before a link function turns them into scores.

A margin is the log odds of yes, one log weight per class, or the label itself. Contributions add up to margins, blends are
averages of margins, and class weights are subtracted from margins.
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
"""Shape ``(rows, outputs)``; see `PredictionTarget.outputs`."""
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
        """Parts of the explainer, which gives the same contributions without the library of the model."""
        ...

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins; their names begin with `name`."""
        ...


class MarginModel:
    """The methods of `Estimator` that are the same for every kind of model."""

    def __init__(self, target: PredictionTarget) -> None:
        self.target = target

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other hyperparameters to try before any are drawn; none by default."""
        return ()

    def predict(self, estimator: Any, matrix: Matrix) -> Scores:
        """Uncalibrated scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
        return scores_of(self.target, estimator.margins(matrix))

    def contributions(self, estimator: Any, matrix: Matrix) -> Contributions:
        """Exact SHAP values of the encoded columns, in log odds (per class for multiclass) or the label's unit.

        Shape ``(rows, width)``, for multiclass ``(rows, classes, width)``.
        """
        shap: Contributions = estimator.contributions(matrix)
        return shap if self.target.task.is_multiclass else shap[:, 0, :]

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The model without its encoder, as an ONNX graph; the last output has the scores of the task."""
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
    """Scores as margins, shape ``(rows, outputs)``; the inverse of `scores_of` (multiclass: up to a constant per row)."""
    if target.task.is_regression:
        return scores[:, None]
    clipped = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(clipped) if target.task.is_multiclass else (np.log(clipped) - np.log1p(-clipped))[:, None]


def loss_of(target: PredictionTarget, labels: Labels, margins: Margins) -> float:
    """The loss of the task, which ends fits: log loss, or mean squared error.

    Args:
        target: what is predicted.
        labels: shape ``(rows,)``.
        margins: shape ``(rows, outputs)``.
    """
    if target.task.is_regression:
        return float(np.mean((margins[:, 0] - labels) ** 2))
    if target.task.is_binary:
        return float(np.mean(np.logaddexp(0.0, np.where(labels, -margins[:, 0], margins[:, 0]))))
    highest = margins.max(axis=1)
    spread = np.log(np.exp(margins - highest[:, None]).sum(axis=1)) + highest
    return float(np.mean(spread - margins[np.arange(len(labels)), labels]))


def priors(target: PredictionTarget, labels: Labels) -> npt.NDArray[np.float64]:
    """Margins of the overall rates, or the mean of the labels; shape ``(outputs,)``."""
    if target.task.is_regression:
        return np.array([np.mean(labels)], dtype=np.float64)
    if target.task.is_binary:
        rate = (float(labels.sum()) + 0.5) / (len(labels) + 1)
        return np.array([np.log(rate / (1 - rate))], dtype=np.float64)
    counts = np.bincount(labels, minlength=target.classes) + 0.5
    return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)


def class_weights(target: PredictionTarget, labels: Labels, balance: float) -> npt.NDArray[np.float64]:
    """Log weight of each class (binary: no, yes); shape ``(classes,)``. At `balance` 1 all classes have the same weight.

    A model fitted with these weights gives margins that are too high by the log weights (Elkan, 2001, theorem 2), so they
    can be subtracted again: weights change what a model pays attention to, not the level of its scores.
    """
    counts = np.bincount(labels.astype(np.int64), minlength=target.classes) + 0.5
    return np.asarray(-balance * np.log(counts / counts.max()), dtype=np.float64)


def weight_shift(target: PredictionTarget, log_weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Excess of the margins after a fit with class weights; shape ``(outputs,)``."""
    return log_weights if target.task.is_multiclass else log_weights[1:] - log_weights[:1]
