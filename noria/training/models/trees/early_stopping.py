"""Boosting with early stopping: rounds are added until the loss of the validation rows stops falling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from noria.training.models.base.estimator import FitContext, FitData, OnRound
from noria.training.models.base.margin import Margins, scores_of
from noria.training.models.trees.boosting_objective import BoostingObjective

MOST_ROUNDS = 1500
REPORT_EVERY = 10
_FEWEST_PATIENT_ROUNDS = 25
_PATIENCE = 2.0
"""Rounds without a gain that end a fit, times the learning rate."""


def boosted_until_no_gain(
    base: BoostingObjective,
    data: FitData,
    parameters: Mapping[str, Any],
    context: FitContext,
    on_round: OnRound | None,
) -> tuple[Any, int]:
    """An `xgboost.Booster` cut at its best round, and the number of its rounds.

    Args:
        base: objective of the training rows.
        data: training and validation rows, and the search metric.
        parameters: of XGBoost.
        context: threads.
        on_round: called every ten rounds.

    Raises:
        TrialPruned: raised by `on_round`.
    """
    from xgboost import Booster, DMatrix

    matrix, labels = data.validation
    rows = base.matrix(*data.training, context)
    # The quantile loss reads the labels of every matrix that is predicted.
    later = DMatrix(matrix, base.targets(labels), missing=np.nan, nthread=context.threads)
    booster = Booster(dict(parameters), cache=[rows, later])
    patience = max(_FEWEST_PATIENT_ROUNDS, int(_PATIENCE / parameters["learning_rate"]))
    best, best_round = np.inf, 0
    for number in range(MOST_ROUNDS):
        booster.update(rows, number)
        margins = _margins(base, booster, later)  # cached: one more tree each time
        if (loss := base.validation_loss(labels, margins)) < best:
            best, best_round = loss, number
        if on_round and (number + 1) % REPORT_EVERY == 0:
            on_round(number + 1, data.metric(labels, scores_of(base.target, margins)))
        if number - best_round >= patience:
            break
    return booster[: best_round + 1], best_round + 1


def _margins(base: BoostingObjective, booster: Any, rows: Any) -> Margins:
    leaves = np.asarray(booster.predict(rows, output_margin=True), dtype=np.float64)
    return base.base + base.spread * leaves.reshape(-1, len(base.base))
