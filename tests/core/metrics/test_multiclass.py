"""Metrics of a choice among classes against scikit-learn's."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from noria.core.metrics import binary, multiclass

CLASSES = 4
ROWS = st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 2, st.integers(0, 5)), min_size=1, max_size=60)


def arrays(rows):
    """Labels, scores with many ties, decisions."""
    labels = np.array([label for label, _, _ in rows], dtype=np.int64)
    decisions = np.array([decision for _, decision, _ in rows], dtype=np.int64)
    weights = np.ones((len(rows), CLASSES))
    weights[np.arange(len(rows)), decisions] += [weight for _, _, weight in rows]
    return labels, weights / weights.sum(axis=1, keepdims=True), decisions


def drawn(rows, classes, seed=0):
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(classes), rows)
    labels = (scores.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return labels, scores, scores.argmax(axis=1)


@settings(deadline=None, max_examples=60)
@given(ROWS)
@pytest.mark.slow
def test_every_metric_is_what_scikit_learn_says(rows):
    labels, scores, decisions = arrays(rows)
    found = multiclass.measure(labels, scores, decisions)
    every = list(range(CLASSES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of classes that never came
        expected = {
            "accuracy": reference.accuracy_score(labels, decisions),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, decisions),
            "macro_precision": reference.precision_score(labels, decisions, average="macro", zero_division=0),
            "macro_recall": reference.recall_score(labels, decisions, average="macro", zero_division=0),
            "macro_f1": reference.f1_score(labels, decisions, average="macro", zero_division=0),
            "log_loss": reference.log_loss(labels, scores, labels=every),
            "brier": reference.brier_score_loss(labels, scores, labels=every),
        }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    confusion = reference.confusion_matrix(labels, decisions, labels=every)
    assert multiclass.confusion(labels, decisions, CLASSES).tolist() == confusion.tolist()


def test_roc_auc_is_the_mean_of_each_class_against_the_rest():
    labels, scores, _ = drawn(3_000, 5)
    expected = reference.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert multiclass.roc_auc(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_roc_auc_leaves_out_a_class_that_never_came():
    labels, scores, _ = drawn(2_000, 4)
    some = labels != 3
    each = [reference.roc_auc_score(labels[some] == index, scores[some, index]) for index in range(3)]
    assert multiclass.roc_auc(labels[some], scores[some]) == pytest.approx(np.mean(each), abs=1e-12)


def test_of_two_classes_the_scores_are_judged_as_in_binary_classification():
    labels, scores, _ = drawn(1_000, 2)
    came, positive = labels == 1, scores[:, 1]
    assert multiclass.roc_auc(labels, scores) == pytest.approx(binary.roc_auc(came, positive))
    assert multiclass.log_loss(labels, scores) == pytest.approx(binary.log_loss(came, positive))
    assert multiclass.brier(labels, scores) == pytest.approx(2 * binary.brier(came, positive))
    expected = binary.calibration_error(came, positive)
    assert multiclass.calibration_error(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_looks_at_every_class():
    labels, scores, _ = drawn(50_000, 3)
    assert multiclass.calibration_error(labels, scores) < 0.01
    swapped = scores[:, [0, 2, 1]]
    expected = np.mean([binary.calibration_error(labels == index, swapped[:, index]) for index in range(3)])
    assert multiclass.calibration_error(labels, swapped) == pytest.approx(expected)
    assert expected > 0.1


def test_one_class_leaves_out_what_cannot_be_measured():
    labels, scores, decisions = arrays([(1, 1, 3), (1, 2, 1)])
    found = multiclass.measure(labels, scores, decisions)
    assert math.isnan(multiclass.roc_auc(labels, scores))
    assert "roc_auc" not in found
    assert (found["accuracy"], found["balanced_accuracy"], found["macro_recall"]) == (0.5, 0.5, 0.25)


def test_no_rows_give_no_metrics():
    nothing = np.array([], dtype=np.int64)
    assert multiclass.measure(nothing, np.empty((0, 3)), nothing) == {}
    assert multiclass.confusion(nothing, nothing, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("strange", [-1, 3])
def test_a_class_that_does_not_exist_is_refused(strange):
    fine = np.array([0, 2], dtype=np.int64)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        multiclass.confusion(fine, np.array([0, strange]), 3)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        multiclass.confusion(np.array([0, strange]), fine, 3)
