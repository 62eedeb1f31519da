"""The forest that tells several classes apart at once says what scikit-learn says, everywhere that it has to say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from noria.core.model.explainer import read_explainer, write_explainer
from noria.core.use_case import Task
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import FitContext
from noria.training.models.base.margin import loss_of
from noria.training.models.catalog import make_estimator
from noria.training.models.multiclass_forest import LEAST_RATE, MulticlassForest
from noria.training.models.random_forest import RandomForest
from noria.training.models.trees.sklearn_trees import SklearnTree, SklearnTrees
from tests.training.conftest import fit_data
from tests.training.models.test_catalog import assert_same, run

pytestmark = pytest.mark.slow

CLASSES = 4
GOAL = PredictionTarget(Task.MULTICLASS, classes=CLASSES)
KIND = MulticlassForest(GOAL)
EFFORT = FitContext(7, 1)
SMALL = {**KIND.defaults, "forest_leaves": 40}


def rows(count: int, seed: int) -> tuple[Any, Any]:
    """Numbers, some missing, a column of few values and one of 0 and 1; the classes follow from them but for noise."""
    random = np.random.default_rng(seed)
    matrix = np.column_stack([random.normal(size=(count, 3)), random.integers(0, 5, count), random.random(count) < 0.5])
    labels = np.digitize(matrix[:, 0] + 0.5 * matrix[:, 4] + 0.3 * random.normal(size=count), [-1.0, 0.0, 1.0])
    matrix[random.random(count) < 0.1, 1] = np.nan
    return matrix.astype(np.float32), labels.astype(np.int64)


@pytest.fixture(scope="module")
def model() -> RandomForestClassifier:
    return RandomForestClassifier(12, min_samples_leaf=2, max_samples=0.7, random_state=7).fit(*rows(800, 1))


@pytest.fixture(scope="module")
def trees(model: RandomForestClassifier) -> SklearnTrees:
    places = model.classes_.astype(np.int64)
    return SklearnTrees(tuple(SklearnTree.of(one.tree_, places, CLASSES) for one in model.estimators_), 5, 0.0)


def test_several_classes_get_this_forest_and_all_else_the_other() -> None:
    assert isinstance(make_estimator("random_forest", GOAL), MulticlassForest)
    assert isinstance(make_estimator("random_forest", PredictionTarget(Task.REGRESSION)), RandomForest)
    assert isinstance(make_estimator("random_forest", PredictionTarget(Task.BINARY_CLASSIFICATION)), RandomForest)


def test_it_gives_the_rates_that_scikit_learn_gives_missing_values_included(model, trees: SklearnTrees) -> None:
    matrix, _ = rows(500, 2)
    matrix[::7, 0] = np.nan  # of a column that was never missing in training
    np.testing.assert_allclose(trees.rates(matrix), model.predict_proba(matrix), atol=1e-12)


def test_a_value_on_a_threshold_goes_the_same_way_to_the_last_bit(model, trees: SklearnTrees) -> None:
    matrix, _ = rows(60, 3)
    for one in model.estimators_:
        branches = np.flatnonzero(one.tree_.children_left != -1)[:20]
        near = one.tree_.threshold[branches].astype(np.float32)
        for edge in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))):
            on = matrix[: len(branches)].copy()
            on[np.arange(len(branches)), one.tree_.feature[branches]] = edge
            np.testing.assert_allclose(trees.rates(on), model.predict_proba(on), atol=1e-12)


def test_the_graph_is_the_same_forest(trees: SklearnTrees) -> None:
    grown = replace(trees, least=LEAST_RATE, slope=1.7)
    for seed in (2, 4):
        matrix, _ = rows(400, seed)
        assert_same(GOAL, run(KIND.to_onnx(grown, 5), matrix), KIND.predict(grown, matrix))


def test_contributions_are_exact_of_the_rates_and_add_up_to_the_margins(trees: SklearnTrees) -> None:
    matrix, _ = rows(30, 5)
    grown = replace(trees, least=LEAST_RATE, slope=1.7)
    found = grown.contributions(matrix)
    rest = grown.margins(matrix) - found.sum(axis=2)
    np.testing.assert_allclose(rest, np.tile(rest[0], (len(rest), 1)), atol=1e-6)
    stored = read_explainer(write_explainer(grown.explained(), CLASSES, 5))
    np.testing.assert_allclose(stored.contributions(matrix), found, atol=1e-6)
    assert np.abs(found[:, :, 0]).mean() > 3 * np.abs(found[:, :, 2]).mean()  # the column that classes follow from


def test_contributions_of_the_rates_are_those_of_all_orders_of_the_columns(trees: SklearnTrees) -> None:
    """Shapley values by their definition: every subset of five columns, what is not known taken by the rows of training."""
    from itertools import combinations
    from math import factorial

    matrix, _ = rows(3, 6)
    part, _ = trees.explained()
    shap = read_explainer(write_explainer((part,), CLASSES, 5)).contributions(matrix)

    def known(row: Any, columns: frozenset[int]) -> Any:
        return np.mean([_expected(tree, 0, row, columns) for tree in trees.trees], axis=0)

    for row, told in zip(matrix, shap, strict=True):
        for column in range(5):
            others = [one for one in range(5) if one != column]
            value = np.zeros(CLASSES)
            for size in range(5):
                weight = factorial(size) * factorial(4 - size) / factorial(5)
                for some in map(frozenset, combinations(others, size)):
                    value += weight * (known(row, some | {column}) - known(row, some))
            np.testing.assert_allclose(told[:, column], value, atol=1e-6)


def _expected(tree: SklearnTree, at: int, row: Any, columns: frozenset[int]) -> Any:
    if tree.left[at] == -1:
        return tree.rates[at]
    left, right, feature = int(tree.left[at]), int(tree.right[at]), int(tree.features[at])
    if feature in columns:
        value = row[feature]
        goes_left = tree.missing_left[at] if np.isnan(value) else value < tree.thresholds[at]
        return _expected(tree, left if goes_left else right, row, columns)
    share = tree.covers[left] / tree.covers[at]
    return share * _expected(tree, left, row, columns) + (1 - share) * _expected(tree, right, row, columns)


def test_threads_change_nothing_and_another_seed_does() -> None:
    matrix, labels = rows(600, 1)
    graph = KIND.to_onnx(KIND.fit(matrix, labels, SMALL, EFFORT), 5)
    assert KIND.to_onnx(KIND.fit(matrix, labels, SMALL, FitContext(7, 3)), 5) == graph
    assert KIND.to_onnx(KIND.fit(matrix, labels, SMALL, FitContext(8, 1)), 5) != graph


def test_forest_slope_is_fitted_on_validation_rows() -> None:
    training, later = rows(1500, 1), rows(700, 2)
    grown, fitted_params = KIND.fit_with_validation(fit_data(training, later), KIND.defaults, EFFORT)
    plain = replace(grown, slope=1.0)
    assert loss_of(GOAL, later[1], grown.margins(later[0])) < loss_of(GOAL, later[1], plain.margins(later[0]))
    again = KIND.fit(*training, {**KIND.defaults, **fitted_params}, EFFORT)
    assert (again.slope, KIND.to_onnx(again, 5)) == (grown.slope, KIND.to_onnx(grown, 5))


def test_it_beats_a_tree_for_each_class_where_classes_are_many() -> None:
    training, later = rows(1500, 1), rows(1500, 2)
    losses = []
    for kind in (KIND, RandomForest(GOAL)):
        grown, _ = kind.fit_with_validation(fit_data(training, later), kind.defaults, EFFORT)
        losses.append(loss_of(GOAL, later[1], grown.margins(later[0])))
    assert losses[0] < losses[1]


def test_forest_of_many_classes_has_fewer_leaves() -> None:
    random = np.random.default_rng(1)
    many = MulticlassForest(PredictionTarget(Task.MULTICLASS, classes=200))
    matrix, labels = random.normal(size=(4000, 5)).astype(np.float32), random.integers(0, 200, 4000)
    grown = many.fit(matrix, labels, {**many.defaults, "forest_leaf_rows": 1.0, "forest_leaves": 4096}, EFFORT)
    assert max(tree.leaf.sum() for tree in grown.trees) <= 84
