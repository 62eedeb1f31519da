"""Our metrics against scikit-learn's, on rows that a property-based search comes up with."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from noria.core.metrics import binary, direction
from noria.core.metrics.direction import NEARER_ZERO_IS_BETTER
from noria.core.use_case import ConfusionValue, MetricName, SearchMetric

VALUE = ConfusionValue(true_positive=25, false_positive=-6, false_negative=-15, true_negative=0)
ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])), min_size=2, max_size=60
)


def arrays(rows):
    return np.array([label for label, _ in rows]), np.array([score for _, score in rows])


@settings(deadline=None, max_examples=40)
@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) == 2))
@pytest.mark.slow
def test_every_metric_is_what_scikit_learn_says(rows):
    labels, scores = arrays(rows)
    decisions = scores >= 0.5
    found = binary.measure(labels, scores, 0.5, VALUE)
    expected = {
        "roc_auc": reference.roc_auc_score(labels, scores),
        "average_precision": reference.average_precision_score(labels, scores),
        "log_loss": reference.log_loss(labels, scores),
        "brier": reference.brier_score_loss(labels, scores),
        "precision": reference.precision_score(labels, decisions, zero_division=0),
        "recall": reference.recall_score(labels, decisions),
        "f1": reference.f1_score(labels, decisions),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_large_inputs_agree_too():
    random = np.random.default_rng(0)
    labels = random.random(50_000) < 0.2
    scores = np.round(random.random(50_000) * 0.6 + labels * 0.2, 3)
    assert binary.roc_auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)
    expected = reference.average_precision_score(labels, scores)
    assert binary.average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_one_class_leaves_out_what_cannot_be_measured():
    labels, scores = np.zeros(5, dtype=bool), np.linspace(0, 1, 5)
    found = binary.measure(labels, scores, 0.5, VALUE)
    assert set(found) == {"log_loss", "brier", "calibration_error", "precision", "value"}
    assert math.isnan(binary.roc_auc(labels, scores))
    assert math.isnan(binary.recall(labels, scores >= 0.5))


def test_no_rows_give_no_metrics():
    nothing = np.array([], dtype=bool)
    assert binary.measure(nothing, np.array([]), 0.5, VALUE) == {}
    assert binary.calibration_curve(nothing, np.array([]), 10) == ()


@settings(deadline=None, max_examples=40)
@given(ROWS, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = binary.measure(*arrays(shuffled), 0.5, VALUE)
    assert found == pytest.approx(binary.measure(*arrays(rows), 0.5, VALUE), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_confusion_is_what_scikit_learn_says(rows):
    labels, scores = arrays(rows)
    found = binary.confusion(labels, scores >= 0.5)
    expected = reference.confusion_matrix(labels, scores >= 0.5, labels=[False, True])
    cells = [[found.true_negative, found.false_positive], [found.false_negative, found.true_positive]]
    assert cells == expected.tolist()


def test_the_calibration_curve_is_what_scikit_learn_says():
    random = np.random.default_rng(1)
    scores = random.random(5_000) ** 2
    labels = random.random(5_000) < scores * 0.8
    found = binary.calibration_curve(labels, scores, 10)
    rates, means = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    assert [part.rate for part in found] == pytest.approx(rates, abs=1e-12)
    assert [part.score for part in found] == pytest.approx(means, abs=1e-12)
    assert [part.rows for part in found] == [500] * 10
    assert binary.calibration_error(labels, scores) == pytest.approx(np.mean(np.abs(rates - means)), abs=1e-12)


def test_calibration_error_by_hand():
    labels = np.array([False, False, True, True, True, False])
    scores = np.array([0.1, 0.1, 0.1, 0.8, 0.8, 0.8])
    assert binary.calibration_curve(labels, scores, 2) == (
        binary.ReliabilityBin(pytest.approx(0.1), pytest.approx(1 / 3), 3),
        binary.ReliabilityBin(pytest.approx(0.8), pytest.approx(2 / 3), 3),
    )
    assert binary.calibration_error(labels, scores, 2) == pytest.approx(((1 / 3 - 0.1) + (0.8 - 2 / 3)) / 2)


def test_equal_scores_share_a_bin_of_the_calibration_curve():
    labels = np.array([True] * 30 + [False] * 70)
    rule = np.array([1.0] * 25 + [0.0] * 75)
    assert [(part.score, part.rows) for part in binary.calibration_curve(labels, rule, 10)] == [(0.0, 75), (1.0, 25)]


def test_calibrated_scores_are_off_by_chance_alone_and_others_by_more():
    random = np.random.default_rng(2)
    scores = random.random(100_000)
    labels = random.random(100_000) < scores
    assert binary.calibration_error(labels, scores) < 0.006
    assert binary.calibration_error(labels, scores**2) == pytest.approx(1 / 2 - 1 / 3, abs=0.01)


def test_value_counts_each_outcome():
    labels = np.array([True, True, False, False])
    scores = np.array([0.9, 0.1, 0.9, 0.1])
    assert binary.measure(labels, scores, 0.5, VALUE)["value"] == 1000 * (25 - 15 - 6 + 0) / 4


@pytest.mark.parametrize(
    ("metric", "candidate", "rival", "expected"),
    [
        ("roc_auc", 0.7, 0.6, True),
        ("roc_auc", 0.6, 0.6, False),
        ("log_loss", 0.5, 0.6, True),
        ("brier", 0.2, 0.1, False),
        ("calibration_error", 0.01, 0.02, True),
        ("mape", 0.2, 0.1, False),
        ("r2", 0.2, 0.1, True),
        ("bias", -1.0, 2.0, True),
        ("bias", -2.0, 1.0, False),
        ("bias", -1.0, 1.0, False),
        ("bias", math.nan, 1.0, False),
        ("value", math.nan, 1.0, False),
        ("log_loss", 0.5, math.nan, False),
    ],
)
def test_better_knows_which_way_is_up(metric, candidate, rival, expected):
    assert direction.better(metric, candidate, rival) is expected


def test_every_metric_that_a_user_can_name_has_a_way_up():
    higher_is_better = {
        "roc_auc", "average_precision", "precision", "recall", "f1", "value", "accuracy", "balanced_accuracy",
        "macro_precision", "macro_recall", "macro_f1", "r2", "disparate_impact",
    }  # fmt: skip
    named = {*get_args(MetricName), *get_args(SearchMetric)}
    assert "roc_auc" in named
    assert named - higher_is_better - direction.LOWER_IS_BETTER - NEARER_ZERO_IS_BETTER == set()
