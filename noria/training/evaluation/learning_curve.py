"""Would more rows help? The same recipe on ever more of the latest training rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from noria.core.lifecycle.evaluation import LearningPoint
from noria.core.metrics import regression
from noria.core.model.decision import best_quantile
from noria.core.use_case import Task, UnitValue
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.input import EvaluationInput, Refittable
from noria.training.evaluation.scored_slice import ScoredSlice, evenly
from noria.training.fit.pipeline import Pipeline
from noria.training.models.base.estimator import Params

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
MOST_ROWS = 20_000
"""The curve ends at this many of the latest rows: its shape is what matters, and it must stay cheap."""
MOST_JUDGED_ROWS = 10_000
CHEAPER: Mapping[str, float] = {"rounds": 150, "leaves": 128}
"""Hyperparameters, by the last word of their name, that are cut to this for each point, for the same reason."""
MOST_WORK = 2_500_000_000
"""Rows times features times trees times depth that the whole curve may take; known beforehand, so that no clock decides."""
_USUAL_TREES, _USUAL_DEPTH = 120.0, 6.0
FEWEST_OF_A_CLASS = 5
_log = logging.getLogger(__name__)


def learning_curve(judged: EvaluationInput, outcome: ScoredSlice) -> Iterator[LearningPoint]:
    """The search metric on the judged rows, uncalibrated, by number of training rows."""
    pipeline, training = _cheaper(judged.pipeline), judged.fold.training
    rows = min(len(training), MOST_ROWS, _affordable(pipeline, len(training.columns)))
    if rows < min(len(training), MOST_ROWS):
        _log.info("the learning curve ends at %s of %s rows: more would take too long", f"{rows:,}", f"{len(training):,}")
    chosen = evenly(len(outcome), MOST_JUDGED_ROWS)
    judged_rows, part = judged.fold.validation.take(chosen), outcome.take(chosen)
    needed = _classes(training, outcome)
    for share in SHARES:
        some = training.take(np.arange(len(training) - int(share * rows), len(training)))
        if not needed <= _classes(some, outcome):
            continue
        scored = replace(part, scores=pipeline.fit(some).score(judged_rows))
        metric = search_metric(judged.search_metric, scored)
        if metric is not None:
            yield LearningPoint(rows=len(some), metric=metric)


def search_metric(name: str, outcome: ScoredSlice) -> float | None:
    """A metric that a search can optimise; None where the rows cannot give it."""
    if name == "pinball" and isinstance(outcome.value, UnitValue):
        return regression.pinball(outcome.labels, outcome.scores, _inside(best_quantile(outcome.value)))
    return outcome.metrics.get(name)


def _inside(quantile: float) -> float:
    return min(max(quantile, 0.01), 0.99)


def _classes(rows: TrainingSet, outcome: ScoredSlice) -> frozenset[int]:
    """Classes with enough rows to learn from; of numbers there are none to lack."""
    if outcome.policy.task is Task.REGRESSION:
        return frozenset()
    classes, counts = np.unique(rows.labels, return_counts=True)
    return frozenset(int(index) for index in classes[counts >= FEWEST_OF_A_CLASS])


def _cheaper(pipeline: Refittable) -> Refittable:
    """The recipe with fewer and smaller trees, where it has trees at all; of a blend, every member's."""
    if not isinstance(pipeline, Pipeline):
        return pipeline
    members = tuple(replace(member, params=_cut(member.params)) for member in pipeline.members)
    return replace(pipeline, params=_cut(pipeline.params), members=members)


def _cut(params: Params) -> Params:
    return {name: min(value, CHEAPER.get(name.rpartition("_")[2], value)) for name, value in params.items()}


def _affordable(pipeline: Refittable, features: int) -> int:
    """Rows at which the whole curve takes as much work as it may."""
    work = _USUAL_TREES * _USUAL_DEPTH
    if isinstance(pipeline, Pipeline):
        work = pipeline.target.outputs * sum(_work(one.params) for one in pipeline.members or (pipeline,))
    return max(1000, int(MOST_WORK / max(features, 1) / work / sum(SHARES)))


def _work(params: Params) -> float:
    """Trees times depth; of what has no trees, as if it had some."""
    by_word = {name.rpartition("_")[2]: value for name, value in params.items()}
    return by_word.get("rounds", _USUAL_TREES) * by_word.get("depth", _USUAL_DEPTH)
