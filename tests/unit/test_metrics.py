"""Our metrics against scikit-learn's, on rows that a property-based search comes up with."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from noria.core import metrics
from noria.core.use_case import ConfusionValue

VALUE = ConfusionValue(true_positive=25, false_positive=-6, false_negative=-15, true_negative=0)
ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])), min_size=2, max_size=60
)


def arrays(rows):
    return np.array([label for label, _ in rows]), np.array([score for _, score in rows])


@settings(deadline=None, max_examples=40)
@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) == 2))
def test_every_metric_is_what_scikit_learn_says(rows):
    labels, scores = arrays(rows)
    decisions = scores >= 0.5
    found = metrics.measure(labels, scores, 0.5, VALUE)
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
    assert metrics.roc_auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)
    expected = reference.average_precision_score(labels, scores)
    assert metrics.average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_one_class_leaves_out_what_cannot_be_measured():
    labels, scores = np.zeros(5, dtype=bool), np.linspace(0, 1, 5)
    found = metrics.measure(labels, scores, 0.5, VALUE)
    assert set(found) == {"log_loss", "brier", "precision", "value"}
    assert math.isnan(metrics.roc_auc(labels, scores))
    assert math.isnan(metrics.recall(labels, scores >= 0.5))


def test_no_rows_give_no_metrics():
    nothing = np.array([], dtype=bool)
    assert metrics.measure(nothing, np.array([]), 0.5, VALUE) == {}


def test_value_counts_each_outcome():
    labels = np.array([True, True, False, False])
    scores = np.array([0.9, 0.1, 0.9, 0.1])
    assert metrics.measure(labels, scores, 0.5, VALUE)["value"] == 1000 * (25 - 15 - 6 + 0) / 4


@pytest.mark.parametrize(
    ("metric", "candidate", "rival", "expected"),
    [
        ("roc_auc", 0.7, 0.6, True),
        ("roc_auc", 0.6, 0.6, False),
        ("log_loss", 0.5, 0.6, True),
        ("brier", 0.2, 0.1, False),
        ("value", math.nan, 1.0, False),
        ("log_loss", 0.5, math.nan, False),
    ],
)
def test_better_knows_which_way_is_up(metric, candidate, rival, expected):
    assert metrics.better(metric, candidate, rival) is expected
