"""A random forest (XGBoost's forest mode): many deep trees side by side, each on other rows and columns, averaged.

XGBoost grows it as one round of many trees. Around a constant start, a leaf's Newton step is the distance of its rate from
the overall rate over the variance there, so the sum is the forest's average in other units, and its SHAP values are exact.
What a distance counts in log odds is then learnt from later rows as one slope (taught as `forest_slope`).

Of several classes it is another forest, see `noria.training.models.multiclass_forest`; the same for yes or no and for
numbers would not
pay: it takes no rows from disk and no cluster, and was not clearly more accurate.
Log loss or root mean squared error of this forest, scikit-learn's and extremely randomised trees (120 trees each, defaults,
mean of two folds of 3,000 to 12,000 rows, so that small differences say little): a hard made-up classification 0.437, 0.443,
0.434; Friedman's regression 2.68, 2.71, 2.79; late flights 0.516, 0.517, 0.519; minutes in the air 10.59, 10.53, 11.40.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.core.use_case import Task
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel, loss_of
from noria.training.models.base.minimise import lowest
from noria.training.models.trees.booster import boosted, boosted_in_batches
from noria.training.models.trees.boosting_objective import BoostingObjective, boosting_objective
from noria.training.models.trees.external_memory import EncodedBatches
from noria.training.models.trees.xgboost_trees import XgboostTrees

if TYPE_CHECKING:
    import optuna

TREES = 60
"""Twice as many take twice as long, for which a search has a better use: area under the curve of late flights 0.721 and
0.723, root mean squared error of hotel rates 23.94 and 23.92."""
DEPTH = 14
"""Trees without a limit were no better on the same data, and took up to twice as long to grow."""
MOST_LEAVES_IN_ALL = 250_000
"""Bounds the file: a leaf and its branch take about 50 bytes as ONNX."""


class RandomForest(MarginModel):
    """Candidate `random_forest`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType(
            {
                "forest_leaves": 512,
                "forest_leaf_rows": 3.0,
                "forest_subsample": 0.7,
                "forest_colsample": 0.4,
                "forest_smoothing": 50.0,
            }
        )

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return {
            "forest_leaves": trial.suggest_int("forest_leaves", 64, 2048, log=True),
            "forest_leaf_rows": trial.suggest_float("forest_leaf_rows", 1.0, 50.0, log=True),
            "forest_subsample": trial.suggest_float("forest_subsample", 0.4, 0.9),
            "forest_colsample": trial.suggest_float("forest_colsample", 0.1, 1.0),
            "forest_smoothing": trial.suggest_float("forest_smoothing", 2.0, 500.0, log=True),
        }

    def encoding(self, params: Params) -> EncodingOptions:
        """Numbers as they are, as for boosted trees."""
        return EncodingOptions(scale=False, one_hot_up_to=4, smoothing=params["forest_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> XgboostTrees:
        """Fit an estimator; the same arguments give the same estimator."""
        base = boosting_objective(self.target, labels)
        booster = boosted(base.matrix(matrix, labels, context), self._parameters(base, params, context), rounds=1)
        return XgboostTrees(booster, base.base, base.spread * params.get("forest_slope", 1.0))

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext) -> XgboostTrees:
        """Fit an estimator to rows that are never in memory as a whole, here or on a cluster."""
        base = boosting_objective(self.target, labels)
        parameters = self._parameters(base, params, context)
        booster = boosted_in_batches(batches, base.facts(labels), parameters, rounds=1, context=context)
        return XgboostTrees(booster, base.base, base.spread * params.get("forest_slope", 1.0))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[XgboostTrees, Params]:
        """Fit, and learn from later rows what a leaf counts in log odds; returned as `forest_slope`."""
        grown = self.fit(*data.training, {**params, "forest_slope": 1.0}, context)
        if self.target.task is Task.REGRESSION:
            return grown, {"forest_slope": 1.0}
        distances = grown.margins(data.validation.matrix) - grown.base

        def loss(log_slope: float) -> float:
            return loss_of(self.target, data.validation.labels, grown.base + np.exp(log_slope) * distances)

        slope = float(np.exp(lowest(loss, -3.0, 3.0)))
        return XgboostTrees(grown.booster, grown.base, slope), {"forest_slope": slope}

    def _parameters(self, base: BoostingObjective, params: Params, context: FitContext) -> dict[str, Any]:
        leaves = min(int(params["forest_leaves"]), MOST_LEAVES_IN_ALL // (TREES * self.target.outputs))
        return {
            **base.parameters(context),
            "num_parallel_tree": TREES,
            "learning_rate": 1.0,
            "max_leaves": max(8, leaves),
            "max_depth": DEPTH,
            "min_child_weight": params["forest_leaf_rows"] * base.hessian(),
            "subsample": params["forest_subsample"],
            "colsample_bynode": params["forest_colsample"],
            "reg_lambda": 1e-6,
        }
