"""Gradient-boosted trees (XGBoost, histograms): finds interactions and takes missing values as they are."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.encoder import Matrix
from noria.training.candidate import Effort, Labels, Params, Probabilities
from noria.training.encoding import EncodingOptions

if TYPE_CHECKING:
    import optuna

MOST_ROUNDS = 600
_PATIENCE = 30
_OPSET = 15  # the newest that the converter knows; trees need nothing newer


class GradientBoosting:
    """Candidate `gradient_boosting`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType(
            {
                "trees_learning_rate": 0.06,
                "trees_depth": 5,
                "trees_min_child_weight": 20.0,
                "trees_subsample": 0.8,
                "trees_colsample": 0.6,
                "trees_l2": 10.0,
                "trees_gamma": 0.1,
                "trees_smoothing": 50.0,
            }
        )

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial; half of them only hold the trees back."""
        return {
            "trees_learning_rate": trial.suggest_float("trees_learning_rate", 0.02, 0.2, log=True),
            "trees_depth": trial.suggest_int("trees_depth", 2, 8),
            "trees_min_child_weight": trial.suggest_float("trees_min_child_weight", 1.0, 200.0, log=True),
            "trees_subsample": trial.suggest_float("trees_subsample", 0.4, 1.0),
            "trees_colsample": trial.suggest_float("trees_colsample", 0.2, 1.0),
            "trees_l2": trial.suggest_float("trees_l2", 0.1, 100.0, log=True),
            "trees_gamma": trial.suggest_float("trees_gamma", 1e-3, 10.0, log=True),
            "trees_smoothing": trial.suggest_float("trees_smoothing", 5.0, 500.0, log=True),
        }

    def encoding(self, params: Params) -> EncodingOptions:
        """Numbers as they are (scaling in float32 would move values across a tree's thresholds)."""
        return EncodingOptions(scale=False, one_hot_up_to=4, smoothing=params["trees_smoothing"])

    def fit(self, matrix: Matrix, labels: Labels, params: Params, effort: Effort) -> Any:
        """Fit an estimator; the same arguments give the same estimator."""
        return self._model(params, effort, int(params["trees_rounds"])).fit(matrix, labels)

    def fit_watching(
        self, training: tuple[Matrix, Labels], validation: tuple[Matrix, Labels], params: Params, effort: Effort
    ) -> tuple[Any, Params]:
        """Fit until later rows gain nothing more; returns the number of rounds as `trees_rounds`."""
        model = self._model(params, effort, MOST_ROUNDS, early_stopping_rounds=_PATIENCE)
        model.fit(*training, eval_set=[validation], verbose=False)
        return model, {"trees_rounds": model.best_iteration + 1}

    def predict(self, estimator: Any, matrix: Matrix) -> Probabilities:
        """Probabilities of the positive class; shape ``(rows,)``."""
        return np.asarray(estimator.predict_proba(matrix)[:, 1], dtype=np.float64)

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The estimator alone as an ONNX graph whose last output is ``(rows, 2)`` probabilities."""
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        graph = convert_xgboost(estimator, initial_types=[("input", FloatTensorType([None, width]))], target_opset=_OPSET)
        graph.graph.name = "noria"  # the converter draws a random name: the same model must be the same bytes
        return bytes(graph.SerializeToString(deterministic=True))

    def _model(self, params: Params, effort: Effort, rounds: int, **more: Any) -> Any:
        from xgboost import XGBClassifier

        return XGBClassifier(
            n_estimators=rounds,
            learning_rate=params["trees_learning_rate"],
            max_depth=int(params["trees_depth"]),
            min_child_weight=params["trees_min_child_weight"],
            subsample=params["trees_subsample"],
            colsample_bytree=params["trees_colsample"],
            reg_lambda=params["trees_l2"],
            gamma=params["trees_gamma"],
            tree_method="hist",
            max_bin=128,
            eval_metric="logloss",
            random_state=effort.seed,
            n_jobs=effort.threads,
            **more,
        )
