"""Random forests for several classes (scikit-learn): each tree separates all classes at once, and rates are averaged.

The forest averages rates (Breiman, "Random Forests", 2001); its margin is the logarithm of the mean rate, times a factor
that is fitted on the validation rows (`forest_slope`). docs/adr/0012-own-graphs.md compares it with one tree per class.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel, loss_of
from noria.training.models.base.minimise import best_factor
from noria.training.models.random_forest import MOST_LEAVES_IN_ALL, SLOPE, TREES, forest_params, suggest_forest
from noria.training.models.trees.sklearn_trees import SklearnTree, SklearnTrees

if TYPE_CHECKING:
    import optuna

ONE_HOT = "forest_one_hot_up_to"
"""The hyperparameter with the most values of a category that become one column each."""
ONE_HOT_UP_TO = (4, 12, 30)
MOST_ROWS_A_TREE = 50_000
"""Limits the time of a fit; trees of a forest should see different rows in any case."""
LEAST_RATE = 1 / (2 * TREES)
"""Half of the vote of one tree: a class that no tree has seen is rare, not impossible."""
_CLASSES_AT_FULL_SIZE = 4
"""The explainer holds every tree once per class, so more classes get fewer leaves."""


class MulticlassForest(MarginModel):
    """Estimator `random_forest` for multiclass."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType({**forest_params(1024, 2.0), ONE_HOT: 12.0})

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Large leaves: some data sets need ten rows in a leaf, others two (docs/adr/0012-own-graphs.md)."""
        return (MappingProxyType({**self.defaults, "forest_leaf_rows": 10.0}),)

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        params = suggest_forest(trial, most_leaves=4096, most_subsample=1.0)
        return {**params, ONE_HOT: trial.suggest_categorical(ONE_HOT, [float(most) for most in ONE_HOT_UP_TO])}

    def encoding(self, params: Params) -> EncodingOptions:
        """Unscaled numbers, as for boosted trees."""
        one_hot = int(params.get(ONE_HOT, ONE_HOT_UP_TO[0]))
        return EncodingOptions(scale=False, one_hot_up_to=one_hot, smoothing=params["forest_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> SklearnTrees:
        """Fit a forest; the same arguments give the same forest, with any number of threads."""
        from sklearn.ensemble import RandomForestClassifier

        most = MOST_LEAVES_IN_ALL * _CLASSES_AT_FULL_SIZE // (TREES * max(self.target.classes, _CLASSES_AT_FULL_SIZE))
        model: Any = RandomForestClassifier(
            n_estimators=TREES,
            max_leaf_nodes=max(8, min(int(params["forest_leaves"]), most)),
            min_samples_leaf=max(1, round(params["forest_leaf_rows"])),
            max_features=max(1, round(params["forest_colsample"] * matrix.shape[1])),
            max_samples=max(1, min(round(params["forest_subsample"] * len(matrix)), MOST_ROWS_A_TREE)),
            random_state=context.seed,
            n_jobs=context.threads,
        ).fit(matrix, labels)
        present = model.classes_.astype(np.int64)
        trees = tuple(SklearnTree.of(one.tree_, present, self.target.classes) for one in model.estimators_)
        return SklearnTrees(trees, matrix.shape[1], LEAST_RATE, float(params.get(SLOPE, 1.0)))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[SklearnTrees, Params]:
        """Fit a forest, and its `forest_slope` on the validation rows."""
        grown = self.fit(*data.training, {**params, SLOPE: 1.0}, context)
        matrix, labels = data.validation
        logs = grown.margins(matrix)
        slope = best_factor(lambda factor: loss_of(self.target, labels, factor * logs))
        return SklearnTrees(grown.trees, grown.width, grown.least, slope), {SLOPE: slope}
