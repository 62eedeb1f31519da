"""What trees grow on: labels as XGBoost takes them, weights of classes, and the margin where the first tree begins.

Trees begin at what is known without looking at any row (the rate of each class, the mean), so that none of them is spent on
learning it. Numbers are brought to standard deviation 1, so that one space of hyperparameters suits every unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import FitContext, Params
from noria.training.models.base.margin import class_weights, priors, weight_shift
from noria.training.models.trees.external_memory import RowMetaInfo

LOSS = "trees_loss"
"""The hyperparameter that names the loss of regression."""
SQUARED, ABSOLUTE, QUANTILE = 0, 1, 2
"""Its values."""
MAX_BIN = 256
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoostingObjective:
    """What trees grow on.

    Attributes:
        goal: what is predicted.
        loss: regression: SQUARED, ABSOLUTE or QUANTILE.
        start: margin, as the trees see it, where the first of them begins; shape ``(outputs,)``.
        base: the same margin as it is reported: without the weights of classes, in the label's unit; shape ``(outputs,)``.
        level, spread: regression: mean and standard deviation that labels are brought to 0 and 1 by.
        log_weights: classification: log weight of each class.
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
        """Meta information of rows for XGBoost: labels, weights, base margin."""
        weights = np.exp(self.log_weights)[labels.astype(np.int64)] if self.log_weights.any() else None
        return RowMetaInfo(self.targets(labels), weights, self.start)

    def targets(self, labels: Labels) -> _Numbers:
        """Labels as XGBoost takes them."""
        return np.asarray((labels.astype(np.float64) - self.level) / self.spread, dtype=np.float64)

    def parameters(self, context: FitContext) -> dict[str, Any]:
        """XGBoost's parameters that follow from the goal and the effort."""
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
        """What one row weighs in `min_child_weight`, about, before the first tree."""
        if self.target.task.is_regression:
            return 1.0
        chances = np.exp(priors_as_logs(self.target, self.start))
        spread = float(np.mean(chances * (1 - chances)))
        return 2 * spread if self.target.task.is_multiclass else spread


def aim_of(target: PredictionTarget, params: Params) -> float | None:
    """Which quantile of the label a regression with these hyperparameters aims at; None for the mean."""
    loss = int(params.get(LOSS, SQUARED))
    return {SQUARED: None, ABSOLUTE: 0.5, QUANTILE: target.quantile}[loss]


def boosting_objective(
    target: PredictionTarget, labels: Labels, *, balance: float = 0.0, loss: int = SQUARED
) -> BoostingObjective:
    """What trees grow on, from the labels of the training rows."""
    if target.task.is_regression:
        level, spread = float(np.mean(labels)), float(np.std(labels)) or 1.0
        aim = aim_of(target, {LOSS: loss})
        center = level if aim is None else float(np.quantile(labels, aim))
        start = np.array([(center - level) / spread])
        return BoostingObjective(target, loss, start, np.array([center]), level, spread, np.zeros(1))
    log_weights = class_weights(target, labels, balance)
    base = priors(target, labels)
    return BoostingObjective(target, loss, base + weight_shift(target, log_weights), base, 0.0, 1.0, log_weights)


def priors_as_logs(target: PredictionTarget, margins: _Numbers) -> _Numbers:
    """Log chances of each class (binary: of yes) that belong to margins; shape ``(outputs,)``."""
    if target.task.is_binary:
        return np.asarray(-np.logaddexp(0.0, -margins), dtype=np.float64)
    highest = margins.max()
    return np.asarray(margins - highest - np.log(np.exp(margins - highest).sum()), dtype=np.float64)
