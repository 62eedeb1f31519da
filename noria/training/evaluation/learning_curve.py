"""Learning curve: the same pipeline fitted to growing shares of the latest training rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from noria.core.lifecycle.evaluation import LearningPoint
from noria.core.metrics.regression import pinball
from noria.core.use_case import UnitValue
from noria.training.data.dataset import TrainingSet
from noria.training.data.sampling import even_positions
from noria.training.data.target import cheapest_quantile
from noria.training.evaluation.input import EvaluationInput, Refittable
from noria.training.evaluation.scored_slice import ScoredSlice
from noria.training.fit.pipeline import Pipeline
from noria.training.models.base.estimator import Params

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
MOST_ROWS = 20_000
"""Most training rows of the last point: the shape of the curve matters, and it must stay cheap."""
MOST_JUDGED_ROWS = 10_000
CHEAPER: Mapping[str, float] = {"rounds": 150, "leaves": 128}
"""Upper limits of hyperparameters for each point, by the last word of their name, for the same reason."""
MOST_WORK = 2_500_000_000
"""Most rows times features times trees times depth of the whole curve; computed beforehand, so that no clock decides."""
_USUAL_TREES, _USUAL_DEPTH = 120.0, 6.0
FEWEST_OF_A_CLASS = 5
_log = logging.getLogger(__name__)


def learning_curve(
    evaluated: EvaluationInput, outcome: ScoredSlice, metric: str, *, most_rows: int = MOST_ROWS
) -> Iterator[LearningPoint]:
    """The search metric of uncalibrated scores on the evaluated rows, by number of training rows.

    Args:
        evaluated: pipeline, training rows and evaluated rows.
        outcome: the candidate's scores of the evaluated rows.
        metric: the search metric.
        most_rows: training rows of the last point.
    """
    pipeline, training = _cheaper(evaluated.pipeline), evaluated.fold.training
    wanted = min(len(training), most_rows)
    rows = min(wanted, _affordable(pipeline, len(training.columns)))
    if rows < wanted:
        _log.info("the learning curve ends at %s of %s rows: more would take too long", f"{rows:,}", f"{len(training):,}")
    chosen = even_positions(len(outcome), MOST_JUDGED_ROWS)
    rows_to_score, part = evaluated.fold.validation.take(chosen), outcome.take(chosen)
    for some in _latest_shares(training, rows, outcome):
        value = search_metric(metric, replace(part, scores=pipeline.fit(some).score(rows_to_score)))
        if value is not None:
            yield LearningPoint(rows=len(some), metric=value)


def search_metric(name: str, outcome: ScoredSlice) -> float | None:
    """A search metric of scores; None if the rows cannot give it."""
    if name == "pinball" and isinstance(outcome.value, UnitValue):
        return pinball(outcome.labels, outcome.scores, cheapest_quantile(outcome.value))
    return outcome.metrics.get(name)


def _latest_shares(training: TrainingSet, rows: int, outcome: ScoredSlice) -> Iterator[TrainingSet]:
    """Shares of the latest rows that have enough rows of every class that the whole has."""
    needed = _classes(training, outcome)
    for share in SHARES:
        some = training.take(np.arange(len(training) - int(share * rows), len(training)))
        if needed <= _classes(some, outcome):
            yield some


def _classes(rows: TrainingSet, outcome: ScoredSlice) -> frozenset[int]:
    """Classes with enough rows to learn from; empty for regression."""
    if outcome.policy.task.is_regression:
        return frozenset()
    classes, counts = np.unique(rows.labels, return_counts=True)
    return frozenset(int(index) for index in classes[counts >= FEWEST_OF_A_CLASS])


def _cheaper(pipeline: Refittable) -> Refittable:
    """The pipeline with fewer and smaller trees; for a blend, those of every member."""
    if not isinstance(pipeline, Pipeline):
        return pipeline
    members = tuple(replace(member, params=_cut(member.params)) for member in pipeline.members)
    return replace(pipeline, params=_cut(pipeline.params), members=members)


def _cut(params: Params) -> Params:
    return {name: min(value, CHEAPER.get(name.rpartition("_")[2], value)) for name, value in params.items()}


def _affordable(pipeline: Refittable, features: int) -> int:
    """Rows at which the whole curve takes `MOST_WORK`."""
    work = _USUAL_TREES * _USUAL_DEPTH
    if isinstance(pipeline, Pipeline):
        work = pipeline.target.outputs * sum(_work(one.params) for one in pipeline.members or (pipeline,))
    return max(1000, int(MOST_WORK / max(features, 1) / work / sum(SHARES)))


def _work(params: Params) -> float:
    """Trees times depth; kinds without trees count as an average tree model."""
    by_word = {name.rpartition("_")[2]: value for name, value in params.items()}
    return by_word.get("rounds", _USUAL_TREES) * by_word.get("depth", _USUAL_DEPTH)
