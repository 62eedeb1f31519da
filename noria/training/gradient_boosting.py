"""Gradient-boosted trees (XGBoost, histograms): finds interactions and takes missing values as they are."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.encoder import Matrix
from noria.core.use_case import Task
from noria.training.candidate import Effort, Labels, Params, Scores, Watch
from noria.training.encoding import EncodingOptions
from noria.training.external_memory import EncodedBatches, boosted, boosted_in_batches
from noria.training.forest import Trees
from noria.training.ground import ABSOLUTE, LOSS, QUANTILE, SQUARED, Ground, ground
from noria.training.margin import MarginModel, Margins, loss_of, scores_of

if TYPE_CHECKING:
    import optuna

MOST_ROUNDS = 1500
REPORT_EVERY = 10
_FEWEST_PATIENT_ROUNDS = 25
_PATIENCE = 2.0
"""A fit goes on for so many divided by the learning rate rounds without a gain."""


class GradientBoosting(MarginModel):
    """Candidate `gradient_boosting`."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first.

        A row weighs 1 in a leaf for a number, and less the surer the model is of a class: classes are held back less.
        """
        held_back = 5.0 if self.goal.task is Task.REGRESSION else 2.0
        numbers = {LOSS: float(SQUARED)} if self.goal.task is Task.REGRESSION else {"trees_balance": 0.0}
        return MappingProxyType(
            {
                "trees_learning_rate": 0.06,
                "trees_depth": 6,
                "trees_min_child_weight": held_back,
                "trees_subsample": 0.8,
                "trees_colsample": 0.7,
                "trees_colsample_node": 1.0,
                "trees_l1": 1e-3,
                "trees_l2": held_back,
                "trees_gamma": 1e-2,
                "trees_smoothing": 50.0,
                **numbers,
            }
        )

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
        }
        if self.goal.task is Task.REGRESSION:
            other = ABSOLUTE if self.goal.quantile == 0.5 else QUANTILE
            params[LOSS] = trial.suggest_categorical(LOSS, [float(SQUARED), float(other)])
        else:
            params["trees_balance"] = trial.suggest_float("trees_balance", 0.0, 1.0)
        return params

    def encoding(self, params: Params) -> EncodingOptions:
        """Numbers as they are (scaling in float32 would move values across a tree's thresholds)."""
        return EncodingOptions(scale=False, one_hot_up_to=4, smoothing=params["trees_smoothing"], goal=self.goal)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, effort: Effort) -> Trees:
        """Fit an estimator; the same arguments give the same estimator."""
        base = self._ground(labels, params)
        rows = base.matrix(matrix, labels, effort)
        return Trees(boosted(rows, _parameters(base, params, effort), _rounds(params)), base.base, base.spread)

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, effort: Effort) -> Trees:
        """Fit an estimator to rows that are never in memory as a whole, here or on a cluster."""
        base = self._ground(labels, params)
        booster = boosted_in_batches(
            batches, base.facts(labels), _parameters(base, params, effort), rounds=_rounds(params), effort=effort
        )
        return Trees(booster, base.base, base.spread)

    def fit_watching(  # noqa: PLR0917 - all of it is asked for in one breath
        self,
        training: tuple[Matrix, Labels],
        validation: tuple[Matrix, Labels],
        params: Params,
        effort: Effort,
        metric: Callable[[Labels, Scores], float],
        watch: Watch | None = None,
    ) -> tuple[Trees, Params]:
        """Fit until later rows gain nothing more; returns the number of rounds as `trees_rounds`."""
        from xgboost import Booster, DMatrix

        base = self._ground(training[1], params)
        rows = base.matrix(*training, effort)
        # The quantile loss asks every matrix that it is shown for its labels.
        later = DMatrix(validation[0], base.targets(validation[1]), missing=np.nan, nthread=effort.threads)
        booster = Booster(_parameters(base, params, effort), cache=[rows, later])
        patience = max(_FEWEST_PATIENT_ROUNDS, int(_PATIENCE / params["trees_learning_rate"]))
        best, best_round = np.inf, 0
        for number in range(MOST_ROUNDS):
            booster.update(rows, number)
            margins = base.base + base.spread * _sums(booster, later, len(base.base))  # cached: one more tree each time
            if (loss := _loss(base, validation[1], margins)) < best:
                best, best_round = loss, number
            if watch and (number + 1) % REPORT_EVERY == 0:
                watch(number + 1, metric(validation[1], scores_of(self.goal, margins)))
            if number - best_round >= patience:
                break
        return Trees(booster[: best_round + 1], base.base, base.spread), {"trees_rounds": best_round + 1}

    def _ground(self, labels: Labels, params: Params) -> Ground:
        loss = int(params.get(LOSS, SQUARED))
        return ground(self.goal, labels, balance=params.get("trees_balance", 0.0), loss=loss)


def _rounds(params: Params) -> int:
    return int(params.get("trees_rounds", 200))


def _sums(booster: Any, rows: Any, outputs: int) -> Margins:
    found = booster.predict(rows, output_margin=True)
    return np.asarray(found, dtype=np.float64).reshape(-1, outputs)


def _loss(base: Ground, labels: Labels, margins: Margins) -> float:
    """What the trees are grown for, on later rows."""
    if base.goal.task is not Task.REGRESSION or base.loss == SQUARED:
        return loss_of(base.goal, labels, margins)
    quantile = base.goal.quantile if base.loss == QUANTILE else 0.5
    short = labels - margins[:, 0]
    return float(np.mean(np.maximum(quantile * short, (quantile - 1) * short)))


def _parameters(base: Ground, params: Params, effort: Effort) -> dict[str, Any]:
    return {
        **base.parameters(effort),
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
