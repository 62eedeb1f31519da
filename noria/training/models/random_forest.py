"""Random forests (XGBoost's forest mode): many deep trees side by side, each on other rows and columns, averaged.

XGBoost grows a forest as one round of many trees. Around a constant start, a leaf's Newton step is the distance of its rate
from the overall rate over the variance there, so the sum is the forest's average in other units, and its SHAP values are
exact. The factor from distance to log odds is fitted on the validation rows (`forest_slope`).

For several classes there is another forest, `noria.training.models.multiclass_forest`; docs/adr/0012-own-graphs.md compares.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel, loss_of
from noria.training.models.base.minimise import best_factor
from noria.training.models.trees.booster import boosted, boosted_in_batches
from noria.training.models.trees.boosting_objective import BoostingObjective, boosting_objective
from noria.training.models.trees.external_memory import EncodedBatches
from noria.training.models.trees.xgboost_trees import XgboostTrees

if TYPE_CHECKING:
    import optuna

SLOPE = "forest_slope"
"""The fitted parameter: factor of the leaves."""
TREES = 60
DEPTH = 14
MOST_LEAVES_IN_ALL = 250_000
"""Limits the size of the file: a leaf and its branch take about 50 bytes as ONNX."""


def forest_params(leaves: int, leaf_rows: float) -> dict[str, float]:
    """Default hyperparameters of a forest.

    Args:
        leaves: of each tree.
        leaf_rows: fewest rows in a leaf.
    """
    return {
        "forest_leaves": leaves,
        "forest_leaf_rows": leaf_rows,
        "forest_subsample": 0.7,
        "forest_colsample": 0.4,
        "forest_smoothing": 50.0,
    }


def suggest_forest(trial: optuna.Trial, most_leaves: int, most_subsample: float) -> dict[str, float]:
    """Hyperparameters of a trial that every forest has.

    Args:
        trial: draws them.
        most_leaves: upper limit of `forest_leaves`.
        most_subsample: upper limit of `forest_subsample`.
    """
    return {
        "forest_leaves": trial.suggest_int("forest_leaves", 64, most_leaves, log=True),
        "forest_leaf_rows": trial.suggest_float("forest_leaf_rows", 1.0, 50.0, log=True),
        "forest_subsample": trial.suggest_float("forest_subsample", 0.4, most_subsample),
        "forest_colsample": trial.suggest_float("forest_colsample", 0.1, 1.0),
        "forest_smoothing": trial.suggest_float("forest_smoothing", 2.0, 500.0, log=True),
    }


class RandomForest(MarginModel):
    """Estimator `random_forest` for binary classification and regression."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType(forest_params(512, 3.0))

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return suggest_forest(trial, most_leaves=2048, most_subsample=0.9)

    def encoding(self, params: Params) -> EncodingOptions:
        """Unscaled numbers, as for boosted trees."""
        return EncodingOptions(scale=False, one_hot_up_to=4, smoothing=params["forest_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> XgboostTrees:
        """Fit a forest; the same arguments give the same forest."""
        base = boosting_objective(self.target, labels)
        booster = boosted(base.matrix(matrix, labels, context), self._parameters(base, params, context), rounds=1)
        return XgboostTrees(booster, base.base, base.spread * params.get(SLOPE, 1.0))

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext) -> XgboostTrees:
        """Fit a forest to rows that are never in memory as a whole, here or on a cluster."""
        base = boosting_objective(self.target, labels)
        parameters = self._parameters(base, params, context)
        booster = boosted_in_batches(batches, base.facts(labels), parameters, rounds=1, context=context)
        return XgboostTrees(booster, base.base, base.spread * params.get(SLOPE, 1.0))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[XgboostTrees, Params]:
        """Fit a forest, and its `forest_slope` on the validation rows."""
        grown = self.fit(*data.training, {**params, SLOPE: 1.0}, context)
        if self.target.task.is_regression:
            return grown, {SLOPE: 1.0}
        matrix, labels = data.validation
        distances = grown.margins(matrix) - grown.base
        slope = best_factor(lambda factor: loss_of(self.target, labels, grown.base + factor * distances))
        return XgboostTrees(grown.booster, grown.base, slope), {SLOPE: slope}

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
