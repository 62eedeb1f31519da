"""Linear models on scaled numbers: fast, hard to overfit, and a reference for the gain of trees."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import LinearPart
from noria.training.data.encoding import EncodingOptions
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel, class_weights, weight_shift
from noria.training.models.base.onnx_graph import INPUT, GraphPart, as_double, constant, node
from noria.training.models.log_target import (
    LINEAR_TARGET,
    LOGARITHM,
    NUMBER,
    LogTargetModel,
    fit_log_target_with_validation,
    learns_logarithms,
    logarithms,
    plain,
    raised,
)

if TYPE_CHECKING:
    import optuna

MANY_WEIGHTS = 500
"""Most weights of Newton's method, whose steps cost the cube of their number (docs/adr/0012-own-graphs.md)."""
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weights:
    """A fitted linear model.

    Attributes:
        coefficients: shape ``(outputs, width)``.
        intercept: shape ``(outputs,)``.
        center: mean of each encoded column in training, the reference of contributions; shape ``(width,)``.
    """

    coefficients: _Numbers
    intercept: _Numbers
    center: _Numbers

    def margins(self, matrix: Matrix) -> _Numbers:
        """Margins of encoded rows; shape ``(rows, outputs)``."""
        return np.asarray(matrix.astype(np.float64) @ self.coefficients.T + self.intercept, dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """SHAP values: weight times distance from the mean; shape ``(rows, outputs, width)``.

        Exact if the columns are independent (Štrumbelj and Kononenko, 2014).
        """
        return np.asarray((matrix.astype(np.float64) - self.center)[:, None, :] * self.coefficients, dtype=np.float64)

    def explained(self) -> tuple[LinearPart]:
        """The same weights and means, which explain rows without scikit-learn."""
        return (LinearPart(self.coefficients, self.center),)

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins."""
        constants = (
            constant(f"{name}_coefficients", self.coefficients.T),
            constant(f"{name}_intercept", self.intercept),
        )
        nodes = (
            as_double(INPUT, f"{name}_rows"),
            node("MatMul", [f"{name}_rows", constants[0].name], f"{name}_sum"),
            node("Add", [f"{name}_sum", constants[1].name], f"{name}_margins"),
        )
        return GraphPart(nodes, constants, f"{name}_margins")


class Linear(MarginModel):
    """Estimator `linear`: logistic, multinomial or ridge regression.

    Args:
        target: what is predicted.
        many_weights: most weights that are fitted by Newton's method.
    """

    def __init__(self, target: PredictionTarget, *, many_weights: int = MANY_WEIGHTS) -> None:
        super().__init__(target)
        self._many_weights = many_weights

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        own = {LINEAR_TARGET: float(NUMBER)} if self.target.task.is_regression else {"linear_balance": 0.0}
        return MappingProxyType({"linear_c": 0.1, "linear_smoothing": 50.0, **own})

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Regression also of the logarithm, which turns products into sums."""
        regression = self.target.task.is_regression
        return (MappingProxyType({**self.defaults, LINEAR_TARGET: float(LOGARITHM)}),) if regression else ()

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        params = {
            "linear_c": trial.suggest_float("linear_c", 1e-4, 10.0, log=True),
            "linear_smoothing": trial.suggest_float("linear_smoothing", 5.0, 500.0, log=True),
        }
        if self.target.task.is_regression:
            params[LINEAR_TARGET] = trial.suggest_categorical(LINEAR_TARGET, [float(NUMBER), float(LOGARITHM)])
        else:
            params["linear_balance"] = trial.suggest_float("linear_balance", 0.0, 1.0)
        return params

    def encoding(self, params: Params) -> EncodingOptions:
        """Scaled numbers without missing values; categories of up to 30 values as one column per value."""
        return EncodingOptions(scale=True, one_hot_up_to=30, smoothing=params["linear_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> Weights | LogTargetModel:
        """Fit a model; the same arguments give the same model."""
        if learns_logarithms(params):
            log = self.fit(matrix, logarithms(labels), plain(params), context)
            return raised(log, matrix, labels, for_mean=True)
        rows = matrix.astype(np.float64)
        fitted = self._ridge if self.target.task.is_regression else self._logistic
        return fitted(rows, labels, params, context)

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[Weights | LogTargetModel, Params]:
        """Fit a model; there are no fitted parameters.

        Raises:
            TrialPruned: the labels gain nothing by logarithms.
        """
        if learns_logarithms(params):
            return fit_log_target_with_validation(self, data, plain(params), context, on_round, for_mean=True)
        return self.fit(*data.training, params, context), {}

    def _ridge(self, rows: _Numbers, labels: Labels, params: Params, context: FitContext) -> Weights:
        from sklearn.linear_model import Ridge

        level, spread = float(np.mean(labels)), float(np.std(labels)) or 1.0
        model = Ridge(alpha=1 / params["linear_c"], random_state=context.seed).fit(rows, (labels - level) / spread)
        coefficients = np.asarray(model.coef_, dtype=np.float64)[None, :] * spread
        return Weights(coefficients, np.array([float(model.intercept_) * spread + level]), rows.mean(axis=0))

    def _logistic(self, rows: _Numbers, labels: Labels, params: Params, context: FitContext) -> Weights:
        from sklearn.linear_model import LogisticRegression

        log_weights = class_weights(self.target, labels, params.get("linear_balance", 0.0))
        few = self.target.outputs * rows.shape[1] <= self._many_weights
        model: Any = LogisticRegression(
            C=params["linear_c"],
            solver="newton-cholesky" if few else "lbfgs",
            max_iter=100 if few else 2000,
            random_state=context.seed,
        )
        model.fit(rows, labels, sample_weight=np.exp(log_weights)[labels.astype(np.int64)])
        coefficients, intercept = self._spread(model)
        return Weights(coefficients, intercept - weight_shift(self.target, log_weights), rows.mean(axis=0))

    def _spread(self, model: Any) -> tuple[_Numbers, _Numbers]:
        """Coefficients and intercepts of every class; a class without rows gets a probability near 0."""
        if self.target.task.is_binary:
            return np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
        coefficients = np.zeros((self.target.classes, model.coef_.shape[1]))
        intercept = np.full(self.target.classes, -15.0)
        intercept[model.classes_] = 0.0
        seen = model.classes_[-len(model.coef_) :]  # for two classes there is one row, the odds of the second
        coefficients[seen], intercept[seen] = model.coef_, model.intercept_
        return coefficients, intercept
