"""Hyperparameters of gradient boosting: defaults, starts of a search, the space that is searched, and XGBoost's names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.use_case import Task
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Params
from noria.training.models.log_target import LOGARITHM, NUMBER, TREES_TARGET
from noria.training.models.trees.boosting_objective import ABSOLUTE, LOSS, QUANTILE, SQUARED

if TYPE_CHECKING:
    import optuna

ONE_HOT = "trees_one_hot_up_to"
"""The hyperparameter with the most values of a category that become one column each."""
ONE_HOT_UP_TO = (4, 12, 30)
"""Its values: the best differs widely between data sets, and nothing predicts it."""
BALANCE = "trees_balance"
ROUNDS, ROWS = "trees_rounds", "trees_rows"
"""Fitted parameters: number of rounds, and the rows that it was found on."""
MOST_MORE_ROUNDS = 2.0
"""Most rounds of a fit to more rows, as a multiple of the rounds that were found on fewer."""
_USUAL_ROUNDS = 200


def default_params(target: PredictionTarget) -> dict[str, float]:
    """Hyperparameters that are tried first.

    A row weighs 1 in a leaf of a regression, and less in a classification the more certain the model is. So classifications
    are regularised less. Regressions gain by a lower learning rate, classifications very little.
    """
    regression = target.task is Task.REGRESSION
    regularisation = 5.0 if regression else 2.0
    own = {LOSS: float(SQUARED), TREES_TARGET: float(NUMBER)} if regression else {BALANCE: 0.0}
    return {
        "trees_learning_rate": 0.06 if regression else 0.1,
        "trees_depth": 6,
        "trees_min_child_weight": regularisation,
        "trees_subsample": 0.8,
        "trees_colsample": 0.7,
        "trees_colsample_node": 1.0,
        "trees_l1": 1e-3,
        "trees_l2": regularisation,
        "trees_gamma": 1e-2,
        "trees_smoothing": 50.0,
        ONE_HOT: float(ONE_HOT_UP_TO[0]),
        **own,
    }


def warm_start_points(target: PredictionTarget) -> tuple[Params, ...]:
    """Other starts of a search: shallow trees, regularised trees, and deep trees on few columns.

    Regressions also start from logarithms of the label, first of all; docs/adr/0013-search.md has the figures.
    """
    shallow, regularised, deep = _shallow(), _regularised(target), _deep()
    changes: tuple[Params, ...] = (shallow, regularised, deep)
    if target.task is Task.REGRESSION:
        logs = {TREES_TARGET: float(LOGARITHM)}
        changes = (logs, {**shallow, **logs}, shallow, {**deep, **logs}, regularised, deep)
    return tuple(MappingProxyType({**default_params(target), **change}) for change in changes)


def suggest(trial: optuna.Trial, target: PredictionTarget) -> dict[str, float]:
    """Hyperparameters of a trial; half of them only regularise."""
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
    if target.task is not Task.REGRESSION:
        return {**params, BALANCE: trial.suggest_float(BALANCE, 0.0, 1.0)}
    other = ABSOLUTE if target.quantile == 0.5 else QUANTILE
    params[LOSS] = trial.suggest_categorical(LOSS, [float(SQUARED), float(other)])
    params[TREES_TARGET] = trial.suggest_categorical(TREES_TARGET, [float(NUMBER), float(LOGARITHM)])
    return params


def rounds_for(params: Params, rows: int) -> int:
    """Number of rounds for so many rows.

    The fitted number of rounds, times the square root of the growth in rows if the number of rows was recorded; see
    docs/adr/0013-search.md.
    """
    growth = float(np.sqrt(rows / params.get(ROWS, rows)))
    return max(1, round(params.get(ROUNDS, _USUAL_ROUNDS) * min(growth, MOST_MORE_ROUNDS)))


def tree_parameters(params: Params) -> Mapping[str, Any]:
    """The hyperparameters of the trees by XGBoost's names."""
    return {
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


def _shallow() -> dict[str, float]:
    return {
        "trees_depth": 3,
        "trees_learning_rate": 0.06,
        "trees_min_child_weight": 2.0,
        "trees_l2": 1.0,
        ONE_HOT: 12.0,
    }


def _regularised(target: PredictionTarget) -> dict[str, float]:
    # A row of a multiclass model soon weighs little, as the model becomes very certain.
    multiclass = target.task is Task.MULTICLASS
    return {
        "trees_depth": 5,
        "trees_learning_rate": 0.06,
        "trees_min_child_weight": 2.0 if multiclass else 20.0,
        "trees_l2": 5.0 if multiclass else 20.0,
        "trees_subsample": 0.6,
        "trees_colsample": 0.4,
        ONE_HOT: 30.0,
    }


def _deep() -> dict[str, float]:
    return {
        "trees_depth": 9,
        "trees_learning_rate": 0.08,
        "trees_subsample": 0.7,
        "trees_colsample_node": 0.4,
        ONE_HOT: 12.0,
    }
