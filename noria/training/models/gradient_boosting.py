"""Gradient-boosted trees (XGBoost, histograms): finds interactions, and takes missing values as they are."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models import boosting_params
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import MarginModel
from noria.training.models.boosting_params import BALANCE, ONE_HOT, ONE_HOT_UP_TO, ROUNDS, ROWS, rounds_for, tree_parameters
from noria.training.models.log_target import (
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
    LOSS,
    SQUARED,
    BoostingObjective,
    aim_of,
    boosting_objective,
)
from noria.training.models.trees.early_stopping import boosted_until_no_gain
from noria.training.models.trees.external_memory import EncodedBatches
from noria.training.models.trees.xgboost_trees import XgboostTrees

if TYPE_CHECKING:
    import optuna


class GradientBoosting(MarginModel):
    """Estimator `gradient_boosting`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return MappingProxyType(boosting_params.default_params(self.target))

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other starts of a search."""
        return boosting_params.warm_start_points(self.target)

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return boosting_params.suggest(trial, self.target)

    def encoding(self, params: Params) -> EncodingOptions:
        """Unscaled numbers: scaling in float32 would move values across a tree's thresholds."""
        one_hot = int(params.get(ONE_HOT, ONE_HOT_UP_TO[0]))
        return EncodingOptions(scale=False, one_hot_up_to=one_hot, smoothing=params["trees_smoothing"], target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> XgboostTrees | LogTargetModel:
        """Fit a model; the same arguments give the same model."""
        if learns_logarithms(params):
            log = self.fit(matrix, logarithms(labels), plain(params), context)
            return raised(log, matrix, labels, for_mean=self._aims_at_mean(params))
        base = self._objective(labels, params)
        rows, rounds = base.matrix(matrix, labels, context), rounds_for(params, len(labels))
        return XgboostTrees(boosted(rows, _parameters(base, params, context), rounds), base.base, base.spread)

    def fit_batches(
        self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext
    ) -> XgboostTrees | LogTargetModel:
        """Fit a model to rows that are never in memory as a whole, here or on a cluster."""
        if learns_logarithms(params):
            log = self.fit_batches(batches, logarithms(labels), plain(params), context)
            return raised_in_batches(log, batches, labels, for_mean=self._aims_at_mean(params))
        base, rounds = self._objective(labels, params), rounds_for(params, len(labels))
        parameters = _parameters(base, params, context)
        booster = boosted_in_batches(batches, base.facts(labels), parameters, rounds=rounds, context=context)
        return XgboostTrees(booster, base.base, base.spread)

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[XgboostTrees | LogTargetModel, Params]:
        """Fit until the validation rows gain nothing more; the number of rounds is the fitted parameter `trees_rounds`.

        Regression and multiclass also return the number of rows, as `trees_rows`: a fit to more rows takes more rounds.

        Raises:
            TrialPruned: raised by `on_round`, or the labels gain nothing by logarithms.
        """
        if learns_logarithms(params):
            mean = self._aims_at_mean(params)
            return fit_log_target_with_validation(self, data, plain(params), context, on_round, for_mean=mean)
        base = self._objective(data.training.labels, params)
        booster, rounds = boosted_until_no_gain(base, data, _parameters(base, params, context), context, on_round)
        grows = not self.target.task.is_binary
        fitted_params = {ROUNDS: rounds} | ({ROWS: len(data.training.labels)} if grows else {})
        return XgboostTrees(booster, base.base, base.spread), fitted_params

    def _aims_at_mean(self, params: Params) -> bool:
        return aim_of(self.target, params) is None

    def _objective(self, labels: Labels, params: Params) -> BoostingObjective:
        loss = int(params.get(LOSS, SQUARED))
        return boosting_objective(self.target, labels, balance=params.get(BALANCE, 0.0), loss=loss)


def _parameters(base: BoostingObjective, params: Params, context: FitContext) -> dict[str, Any]:
    return {**base.parameters(context), **tree_parameters(params)}
