"""Gradient-boosted trees (XGBoost, histograms): finds interactions and takes missing values as they are."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.metrics.regression import pinball
from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel, Margins, loss_of, scores_of
from noria.training.models.log_target import (
    LOGARITHM,
    NUMBER,
    TREES_TARGET,
    LogTargetModel,
    fit_log_target_with_validation,
    learns_logarithms,
    logarithms,
    plain,
    raised,
    raised_in_batches,
)
from noria.training.models.trees.booster import boosted, boosted_in_batches
from noria.training.models.trees.boosting_objective import (
    ABSOLUTE,
    LOSS,
    QUANTILE,
    SQUARED,
    BoostingObjective,
    aim_of,
    boosting_objective,
)
from noria.training.models.trees.external_memory import EncodedBatches
from noria.training.models.trees.xgboost_trees import XgboostTrees

if TYPE_CHECKING:
    import optuna

ONE_HOT = "trees_one_hot_up_to"
"""The hyperparameter that says up to how many values of a category become columns of their own."""
ONE_HOT_UP_TO = (4, 12, 30)
"""Its values: which is best differs widely between data sets, and nothing about them tells beforehand."""
MOST_ROUNDS = 1500
REPORT_EVERY = 10
_FEWEST_PATIENT_ROUNDS = 25
MOST_MORE_ROUNDS = 2.0
"""More rows than the rounds were learnt on get at most so many times more rounds."""
_ROUNDS, _ROWS = "trees_rounds", "trees_rows"
_PATIENCE = 2.0
"""A fit goes on for so many divided by the learning rate rounds without a gain."""


class GradientBoosting(MarginModel):
    """Candidate `gradient_boosting`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first.

        A row weighs 1 in a leaf for a number, and less the surer the model is of a class: classes are held back less.
        """
        number = self.target.task.is_regression
        held_back = 5.0 if number else 2.0
        own = {LOSS: float(SQUARED), TREES_TARGET: float(NUMBER)} if number else {"trees_balance": 0.0}
        return MappingProxyType(
            {
                "trees_learning_rate": 0.06 if number else 0.1,  # numbers gain by patience, classes hardly
                "trees_depth": 6,
                "trees_min_child_weight": held_back,
                "trees_subsample": 0.8,
                "trees_colsample": 0.7,
                "trees_colsample_node": 1.0,
                "trees_l1": 1e-3,
                "trees_l2": held_back,
                "trees_gamma": 1e-2,
                "trees_smoothing": 50.0,
                ONE_HOT: float(ONE_HOT_UP_TO[0]),
                **own,
            }
        )

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Where a search begins beside the defaults: few splits a tree, much held back, and deep trees on few columns.

        Tried as they are on twelve data sets, on rows held back: shallow trees were the best of these on five of them, the
        defaults on four, trees held back on two, deep ones on one. Numbers are tried by their logarithm too, and first: on
        four sets of prices and durations that was better in 15 of 16 cases (by 1 to 11 %), and where labels have nothing
        to gain by it, it is given up at once.
        """
        several = self.target.task.is_multiclass  # a row weighs less the surer the model is, and there it gets very sure
        shallow = {"trees_depth": 3, "trees_learning_rate": 0.06, "trees_min_child_weight": 2.0, "trees_l2": 1.0}
        held_back = {
            "trees_depth": 5,
            "trees_learning_rate": 0.06,
            "trees_min_child_weight": 2.0 if several else 20.0,
            "trees_l2": 5.0 if several else 20.0,
            "trees_subsample": 0.6,
            "trees_colsample": 0.4,
        }
        deep = {"trees_depth": 9, "trees_learning_rate": 0.08, "trees_subsample": 0.7, "trees_colsample_node": 0.4}
        shallow, held_back, deep = {**shallow, ONE_HOT: 12.0}, {**held_back, ONE_HOT: 30.0}, {**deep, ONE_HOT: 12.0}
        changes: tuple[Params, ...] = (shallow, held_back, deep)
        if self.target.task.is_regression:
            logs = {TREES_TARGET: float(LOGARITHM)}
            changes = (logs, {**shallow, **logs}, shallow, {**deep, **logs}, held_back, deep)
        return tuple(MappingProxyType({**self.defaults, **change}) for change in changes)

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial; half of them only hold the trees back."""
        params = {
            "trees_learning_rate": trial.suggest_float("trees_learning_rate", 0.015, 0.3, log=True),
            "trees_depth": trial.suggest_int("trees_depth", 2, 10),
            "trees_min_child_weight": trial.suggest_float("trees_min_child_weight", 0.5, 200.0, log=True),
            "trees_subsample": trial.suggest_float("trees_subsample", 0.4, 1.0),
            "trees_colsample": trial.suggest_float("trees_colsample", 0.2, 1.0),
            "trees_colsample_node": trial.suggest_float("trees_colsample_node", 0.3, 1.0),
            "trees_l1": trial.suggest_float("trees_l1", 1e-4, 10.0, log=True),
            "trees_l2": trial.suggest_float("trees_l2", 0.05, 100.0, log=True),
            "trees_gamma": trial.suggest_float("trees_gamma", 1e-4, 10.0, log=True),
            "trees_smoothing": trial.suggest_float("trees_smoothing", 2.0, 500.0, log=True),
            ONE_HOT: trial.suggest_categorical(ONE_HOT, [float(most) for most in ONE_HOT_UP_TO]),
        }
        if self.target.task.is_regression:
            other = ABSOLUTE if self.target.quantile == 0.5 else QUANTILE
            params[LOSS] = trial.suggest_categorical(LOSS, [float(SQUARED), float(other)])
            params[TREES_TARGET] = trial.suggest_categorical(TREES_TARGET, [float(NUMBER), float(LOGARITHM)])
        else:
            params["trees_balance"] = trial.suggest_float("trees_balance", 0.0, 1.0)
        return params

    def encoding(self, params: Params) -> EncodingOptions:
        """Numbers as they are (scaling in float32 would move values across a tree's thresholds)."""
        one_hot = int(params.get(ONE_HOT, ONE_HOT_UP_TO[0]))
        return EncodingOptions(scale=False, one_hot_up_to=one_hot, smoothing=params["trees_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> XgboostTrees | LogTargetModel:
        """Fit an estimator; the same arguments give the same estimator."""
        if learns_logarithms(params):
            log = self.fit(matrix, logarithms(labels), plain(params), context)
            return raised(log, matrix, labels, for_mean=self._for_mean(params))
        base = self._ground(labels, params)
        rows = base.matrix(matrix, labels, context)
        return XgboostTrees(
            boosted(rows, _parameters(base, params, context), _rounds(params, len(labels))), base.base, base.spread
        )

    def fit_batches(
        self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext
    ) -> XgboostTrees | LogTargetModel:
        """Fit an estimator to rows that are never in memory as a whole, here or on a cluster."""
        if learns_logarithms(params):
            log = self.fit_batches(batches, logarithms(labels), plain(params), context)
            return raised_in_batches(log, batches, labels, for_mean=self._for_mean(params))
        base = self._ground(labels, params)
        rounds = _rounds(params, len(labels))
        booster = boosted_in_batches(
            batches, base.facts(labels), _parameters(base, params, context), rounds=rounds, context=context
        )
        return XgboostTrees(booster, base.base, base.spread)

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[XgboostTrees | LogTargetModel, Params]:
        """Fit until later rows gain nothing more; returns the number of rounds as `trees_rounds`.

        Of numbers and of several classes also that of the rows, as `trees_rows`: a fit to more rows takes more rounds.

        Raises:
            TrialPruned: raised by `on_round`, or the labels gain nothing by logarithms.
        """
        from xgboost import Booster, DMatrix

        if learns_logarithms(params):
            mean = self._for_mean(params)
            return fit_log_target_with_validation(self, data, plain(params), context, on_round, for_mean=mean)
        training, validation = data.training, data.validation
        base = self._ground(training.labels, params)
        rows = base.matrix(*training, context)
        # The quantile loss asks every matrix that it is shown for its labels.
        later = DMatrix(validation.matrix, base.targets(validation.labels), missing=np.nan, nthread=context.threads)
        booster = Booster(_parameters(base, params, context), cache=[rows, later])
        patience = max(_FEWEST_PATIENT_ROUNDS, int(_PATIENCE / params["trees_learning_rate"]))
        best, best_round = np.inf, 0
        for number in range(MOST_ROUNDS):
            booster.update(rows, number)
            margins = base.base + base.spread * _sums(booster, later, len(base.base))  # cached: one more tree each time
            if (loss := _loss(base, validation.labels, margins)) < best:
                best, best_round = loss, number
            if on_round and (number + 1) % REPORT_EVERY == 0:
                on_round(number + 1, data.metric(validation.labels, scores_of(self.target, margins)))
            if number - best_round >= patience:
                break
        yes_or_no = self.target.task.is_binary
        fitted_params = {_ROUNDS: best_round + 1} | ({} if yes_or_no else {_ROWS: len(training.labels)})
        return XgboostTrees(booster[: best_round + 1], base.base, base.spread), fitted_params

    def _for_mean(self, params: Params) -> bool:
        return aim_of(self.target, params) is None

    def _ground(self, labels: Labels, params: Params) -> BoostingObjective:
        loss = int(params.get(LOSS, SQUARED))
        return boosting_objective(self.target, labels, balance=params.get("trees_balance", 0.0), loss=loss)


def _rounds(params: Params, rows: int) -> int:
    """Rounds for so many rows: those that were learnt, times the root of how many more rows there are.

    Measured on thirteen data sets, of which the whole training set has 1.6 or 2.1 times the rows of a fold: numbers and
    classes gain by it nearly everywhere (hotel rates 27.6 to 27.0, hpc 0.463 to 0.460), yes or no gains nothing.
    """
    more = float(np.sqrt(rows / params.get(_ROWS, rows)))
    return max(1, round(params.get(_ROUNDS, 200) * min(more, MOST_MORE_ROUNDS)))


def _sums(booster: Any, rows: Any, outputs: int) -> Margins:
    found = booster.predict(rows, output_margin=True)
    return np.asarray(found, dtype=np.float64).reshape(-1, outputs)


def _loss(base: BoostingObjective, labels: Labels, margins: Margins) -> float:
    """What the trees are grown for, on later rows."""
    if not base.target.task.is_regression or base.loss == SQUARED:
        return loss_of(base.target, labels, margins)
    quantile = base.target.quantile if base.loss == QUANTILE else 0.5
    return pinball(labels, margins[:, 0], quantile)


def _parameters(base: BoostingObjective, params: Params, context: FitContext) -> dict[str, Any]:
    return {
        **base.parameters(context),
        "learning_rate": params["trees_learning_rate"],
        "max_depth": int(params["trees_depth"]),
        "min_child_weight": params["trees_min_child_weight"],
        "subsample": params["trees_subsample"],
        "colsample_bytree": params["trees_colsample"],
        "colsample_bynode": params.get("trees_colsample_node", 1.0),
        "reg_alpha": params.get("trees_l1", 0.0),
        "reg_lambda": params["trees_l2"],
        "gamma": params["trees_gamma"],
    }
