"""Logistic regression on scaled numbers: quick, hard to overfit, and the measure of what trees add."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.encoder import Matrix
from noria.training.candidate import Effort, Labels, Params, Probabilities
from noria.training.encoding import EncodingOptions

if TYPE_CHECKING:
    import optuna

_OPSET = 17


class Linear:
    """Candidate `linear`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType({"linear_c": 0.1, "linear_smoothing": 50.0})

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return {
            "linear_c": trial.suggest_float("linear_c", 1e-4, 10.0, log=True),
            "linear_smoothing": trial.suggest_float("linear_smoothing", 5.0, 500.0, log=True),
        }

    def encoding(self, params: Params) -> EncodingOptions:
        """Scaled numbers, no missing values; only a handful of categories as columns of their own."""
        return EncodingOptions(scale=True, one_hot_up_to=30, smoothing=params["linear_smoothing"])

    def fit(self, matrix: Matrix, labels: Labels, params: Params, effort: Effort) -> Any:
        """Fit an estimator; the same arguments give the same estimator."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=params["linear_c"],
            solver="newton-cholesky",  # many rows, few columns: four steps where lbfgs takes eighty
            max_iter=100,
            random_state=effort.seed,
        )
        return model.fit(matrix.astype(np.float64), labels)

    def fit_watching(
        self,
        training: tuple[Matrix, Labels],
        validation: tuple[Matrix, Labels],  # noqa: ARG002 - nothing is learnt from it
        params: Params,
        effort: Effort,
    ) -> tuple[Any, Params]:
        """Fit; later rows teach nothing more."""
        return self.fit(*training, params, effort), {}

    def predict(self, estimator: Any, matrix: Matrix) -> Probabilities:
        """Probabilities of the positive class; shape ``(rows,)``."""
        return np.asarray(estimator.predict_proba(matrix.astype(np.float64))[:, 1], dtype=np.float64)

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The estimator alone as an ONNX graph whose last output is ``(rows, 2)`` probabilities."""
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        graph = to_onnx(
            estimator,
            initial_types=[("input", FloatTensorType([None, width]))],
            target_opset={"": _OPSET, "ai.onnx.ml": 3},
            options={id(estimator): {"zipmap": False}},
        )
        return bytes(graph.SerializeToString(deterministic=True))
