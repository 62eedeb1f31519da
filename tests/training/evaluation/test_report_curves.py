"""Curves of a report: what they show, and what they may cost."""

import numpy as np
import pytest

from noria.core.use_case import Task
from noria.training.data.target import PredictionTarget
from noria.training.evaluation.learning_curve import learning_curve
from noria.training.evaluation.report import evaluate
from noria.training.evaluation.scored_slice import ScoredSlice
from noria.training.fit.pipeline import Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.catalog import make_estimator
from tests.training.evaluation.evaluated_rows import (
    EXPORT,
    LeastSquares,
    evaluated,
    evaluated_candidate,
    fold_of,
    parcels_of,
    training_set,
)

pytestmark = pytest.mark.slow


def test_the_learning_curve_is_cut_where_it_would_cost_too_much(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    candidate = evaluated_candidate(use_case, training_set(use_case.task, 4000))
    outcome = ScoredSlice(candidate.policy, use_case.business.value, candidate.fold.validation.labels, candidate.scores)
    curve = list(learning_curve(candidate, outcome, "roc_auc", most_rows=1000))
    assert [point.rows for point in curve] == [200, 400, 600, 800, 1000]
    assert isinstance(candidate.pipeline, LeastSquares)
    assert max(map(len, candidate.pipeline.fitted_to[1:])) == 1000
    assert {part.times[-1] for part in candidate.pipeline.fitted_to[1:]} == {
        candidate.fold.training.times[-1]
    }  # the latest ones


def test_points_of_the_learning_curve_are_made_with_fewer_and_smaller_trees(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    many = {**make_estimator("gradient_boosting", PredictionTarget()).defaults, "trees_rounds": 400, "trees_depth": 2}
    as_many_as_the_curve_takes = {**many, "trees_rounds": 150}
    rows, curves = training_set(use_case.task, 3000), []
    for params in (many, as_many_as_the_curve_takes):
        pipeline = Pipeline("gradient_boosting", params, use_case.features, FitContext(7, 1), PredictionTarget())
        model = pipeline.fit(fold_of(rows).training)
        candidate = evaluated_candidate(
            use_case, rows, pipeline=pipeline, model=model, scores=model.score(fold_of(rows).validation)
        )
        curves.append(evaluate(use_case, candidate, EXPORT).learning_curve)
    assert len(curves[0]) == 5
    assert curves[0] == curves[1]


def test_the_threshold_curve_gives_the_money_of_each_threshold(tmp_path):
    candidate, report = evaluated(tmp_path)
    labels, value = candidate.fold.validation.labels, {"tp": 5, "fp": -1, "fn": -3}
    assert 2 < len(report.threshold_curve) <= 101
    for point in report.threshold_curve[::10]:
        yes = candidate.scores >= point.x
        worth = value["tp"] * (yes & labels) + value["fp"] * (yes & ~labels) + value["fn"] * (~yes & labels)
        assert point.y == pytest.approx(1000 * worth.mean())


def test_the_shift_curve_is_best_where_the_dearer_error_is_avoided(tmp_path):
    candidate, report = evaluated(tmp_path, Task.REGRESSION)
    assert len(report.threshold_curve) <= 101
    here = next(point for point in report.threshold_curve if point.x == 0)
    best = max(report.threshold_curve, key=lambda point: point.y)
    assert here.y == pytest.approx(report.metrics["value"])
    assert best.x > 0  # too low costs 2.5 times as much as too high
    errors = candidate.scores - candidate.fold.validation.labels
    for point, share in ((report.threshold_curve[0], 0.05), (report.threshold_curve[-1], 0.95)):
        assert point.x == pytest.approx(np.quantile(-errors, share))
        moved = errors + point.x
        assert point.y == pytest.approx(1000 * np.where(moved > 0, -moved, 2.5 * moved).mean())
