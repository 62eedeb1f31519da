"""Inputs of XGBoost training: scaled targets, class weights, base score.

Trees start from the overall rate of each class or the mean, so that none of them is spent on learning it. Labels of a
regression are scaled to standard deviation 1, so that one space of hyperparameters suits every unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.metrics.regression import pinball
from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import FitContext, Params
from noria.training.models.base.margin import Margins, class_weights, loss_of, priors, weight_shift
from noria.training.models.trees.external_memory import RowMetaInfo

LOSS = "trees_loss"
"""The hyperparameter with the loss of regression."""
SQUARED, ABSOLUTE, QUANTILE = 0, 1, 2
"""Its values."""
MAX_BIN = 256
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoostingObjective:
    """Objective of one fit.

    Attributes:
        target: what is predicted.
        loss: regression: SQUARED, ABSOLUTE or QUANTILE.
        start: base score of the scaled, weighted problem; shape ``(outputs,)``.
        base: the same margin without class weights and in the label's unit; shape ``(outputs,)``.
        level, spread: regression: mean and standard deviation of the labels; otherwise 0 and 1.
        log_weights: classification: log weight of each class; shape ``(classes,)``.
    """

    target: PredictionTarget
    loss: int
    start: _Numbers
    base: _Numbers
    level: float
    spread: float
    log_weights: _Numbers

    def matrix(self, rows: Matrix, labels: Labels, context: FitContext) -> Any:
        """Binned rows for training (an `xgboost.QuantileDMatrix`)."""
        from xgboost import QuantileDMatrix

        facts = self.facts(labels).of(slice(None))
        return QuantileDMatrix(rows, **facts, max_bin=MAX_BIN, missing=np.nan, nthread=context.threads)

    def facts(self, labels: Labels) -> RowMetaInfo:
        """Targets, weights and base margin of rows."""
        weights = np.exp(self.log_weights)[labels.astype(np.int64)] if self.log_weights.any() else None
        return RowMetaInfo(self.targets(labels), weights, self.start)

    def targets(self, labels: Labels) -> _Numbers:
        """Scaled labels; shape ``(rows,)``."""
        return np.asarray((labels.astype(np.float64) - self.level) / self.spread, dtype=np.float64)

    def parameters(self, context: FitContext) -> dict[str, Any]:
        """Parameters of XGBoost that follow from target and context."""
        return {
            **self._objective(),
            "tree_method": "hist",
            "max_bin": MAX_BIN,
            "seed": context.seed,
            "nthread": context.threads,
            "disable_default_eval_metric": True,
        }

    def _objective(self) -> dict[str, Any]:
        if self.target.task.is_binary:
            return {"objective": "binary:logistic", "base_score": 0.5}
        if self.target.task.is_multiclass:
            return {"objective": "multi:softprob", "num_class": self.target.classes, "base_score": 0.0}
        if self.loss == QUANTILE:
            return {"objective": "reg:quantileerror", "quantile_alpha": self.target.quantile, "base_score": 0.0}
        return {"objective": "reg:absoluteerror" if self.loss == ABSOLUTE else "reg:squarederror", "base_score": 0.0}

    def hessian(self) -> float:
        """Approximate weight of one row in `min_child_weight`, before the first tree."""
        if self.target.task.is_regression:
            return 1.0
        rates = np.exp(log_rates(self.target, self.start))
        variance = float(np.mean(rates * (1 - rates)))
        return 2 * variance if self.target.task.is_multiclass else variance

    def validation_loss(self, labels: Labels, margins: Margins) -> float:
        """The loss that the trees minimise, of other rows.

        Args:
            labels: unscaled; shape ``(rows,)``.
            margins: in the label's unit; shape ``(rows, outputs)``.
        """
        if not self.target.task.is_regression or self.loss == SQUARED:
            return loss_of(self.target, labels, margins)
        return pinball(labels, margins[:, 0], self.target.quantile if self.loss == QUANTILE else 0.5)


def aim_of(target: PredictionTarget, params: Params) -> float | None:
    """The quantile of the label that a regression with these hyperparameters predicts; None for the mean."""
    loss = int(params.get(LOSS, SQUARED))
    return {SQUARED: None, ABSOLUTE: 0.5, QUANTILE: target.quantile}[loss]


def boosting_objective(
    target: PredictionTarget, labels: Labels, *, balance: float = 0.0, loss: int = SQUARED
) -> BoostingObjective:
    """The objective of a fit to rows with these labels.

    Args:
        target: what is predicted.
        labels: of the training rows; shape ``(rows,)``.
        balance: classification: 0 leaves classes as they are, 1 gives them equal weight.
        loss: regression: SQUARED, ABSOLUTE or QUANTILE.
    """
    if target.task.is_regression:
        level, spread = float(np.mean(labels)), float(np.std(labels)) or 1.0
        aim = aim_of(target, {LOSS: loss})
        center = level if aim is None else float(np.quantile(labels, aim))
        start = np.array([(center - level) / spread])
        return BoostingObjective(target, loss, start, np.array([center]), level, spread, np.zeros(1))
    log_weights = class_weights(target, labels, balance)
    base = priors(target, labels)
    return BoostingObjective(target, loss, base + weight_shift(target, log_weights), base, 0.0, 1.0, log_weights)


def log_rates(target: PredictionTarget, margins: _Numbers) -> _Numbers:
    """Log probability of each class (binary: of yes) for one row of margins; shape ``(outputs,)``."""
    if target.task.is_binary:
        return np.asarray(-np.logaddexp(0.0, -margins), dtype=np.float64)
    highest = margins.max()
    return np.asarray(margins - highest - np.log(np.exp(margins - highest).sum()), dtype=np.float64)
