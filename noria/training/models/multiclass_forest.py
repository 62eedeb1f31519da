"""A random forest for several classes: trees that tell all of them apart at once (scikit-learn), averaged.

One tree for each class, as XGBoost grows them, spends its leaves anew for every class, and their rates do not add up. Log
loss on test rows of a forest of such trees and of this one, and of each half and half with boosted trees, all with defaults:

    high-performance computing   0.557 to 0.500   0.477 to 0.467        made-up grades   1.356 to 1.085   1.169 to 1.079
    digits                       0.143 to 0.103   0.121 to 0.098        happiness        0.890 to 0.894   0.883 to 0.884
    leaves of 32 plants          0.802 to 0.285   0.594 to 0.314        arrests          0.724 to 0.732   0.711 to 0.708
    votes in Chile               0.910 to 0.879   0.877 to 0.863        wines            0.051 to 0.076   0.049 to 0.051

What is averaged are rates (Breiman, "Random Forests", 2001), not their logarithms: those were worse on all of six data sets.
What a logarithm of the mean rate counts is then learnt from later rows as one slope (taught as `forest_slope`).
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
from noria.training.models.base.minimise import lowest
from noria.training.models.random_forest import MOST_LEAVES_IN_ALL, TREES
from noria.training.models.trees.sklearn_trees import SklearnTree, SklearnTrees

if TYPE_CHECKING:
    import optuna

ONE_HOT = "forest_one_hot_up_to"
"""The hyperparameter that says up to how many values of a category become columns of their own."""
ONE_HOT_UP_TO = (4, 12, 30)
MOST_ROWS_A_TREE = 50_000
"""More would cost time without end, and trees that see other rows each are what makes a forest."""
LEAST_RATE = 1 / (2 * TREES)
"""Half of one tree's whole vote: what no tree has seen is rare, not impossible."""
_CLASSES_AT_FULL_SIZE = 4
"""The explainer holds every tree once for each class: more classes get fewer leaves."""


class MulticlassForest(MarginModel):
    """Candidate `random_forest` for several classes."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType(
            {
                "forest_leaves": 1024,
                "forest_leaf_rows": 2.0,
                "forest_subsample": 0.7,
                "forest_colsample": 0.4,
                "forest_smoothing": 50.0,
                ONE_HOT: 12.0,
            }
        )

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Large leaves too: of the eight data sets above, four wanted few rows in a leaf and four as many as ten."""
        return (MappingProxyType({**self.defaults, "forest_leaf_rows": 10.0}),)

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return {
            "forest_leaves": trial.suggest_int("forest_leaves", 64, 4096, log=True),
            "forest_leaf_rows": trial.suggest_float("forest_leaf_rows", 1.0, 50.0, log=True),
            "forest_subsample": trial.suggest_float("forest_subsample", 0.4, 1.0),
            "forest_colsample": trial.suggest_float("forest_colsample", 0.1, 1.0),
            "forest_smoothing": trial.suggest_float("forest_smoothing", 2.0, 500.0, log=True),
            ONE_HOT: trial.suggest_categorical(ONE_HOT, [float(most) for most in ONE_HOT_UP_TO]),
        }

    def encoding(self, params: Params) -> EncodingOptions:
        """Numbers as they are, as for boosted trees."""
        one_hot = int(params.get(ONE_HOT, ONE_HOT_UP_TO[0]))
        return EncodingOptions(scale=False, one_hot_up_to=one_hot, smoothing=params["forest_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> SklearnTrees:
        """Fit an estimator; the same arguments give the same estimator, with any number of threads."""
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
        places = model.classes_.astype(np.int64)
        trees = tuple(SklearnTree.of(one.tree_, places, self.target.classes) for one in model.estimators_)
        return SklearnTrees(trees, matrix.shape[1], LEAST_RATE, float(params.get("forest_slope", 1.0)))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[SklearnTrees, Params]:
        """Fit, and learn from later rows what a logarithm counts; returned as `forest_slope`."""
        grown = self.fit(*data.training, {**params, "forest_slope": 1.0}, context)
        matrix, labels = data.validation
        logs = grown.margins(matrix)
        slope = float(np.exp(lowest(lambda log_slope: loss_of(self.target, labels, np.exp(log_slope) * logs), -3.0, 3.0)))
        return SklearnTrees(grown.trees, grown.width, grown.least, slope), {"forest_slope": slope}
