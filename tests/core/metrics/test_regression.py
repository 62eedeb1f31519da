"""Metrics of a predicted number against scikit-learn's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from noria.core.metrics import regression

NUMBER = st.floats(-1_000, 1_000).map(lambda number: round(number, 3))
ROWS = st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=40)


def arrays(rows):
    return np.array([label for label, _ in rows]), np.array([score for _, score in rows])


@settings(deadline=None, max_examples=60)
@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) > 1 and all(label != 0 for label, _ in rows)))
@pytest.mark.slow
def test_every_metric_is_what_scikit_learn_says(rows):
    labels, scores = arrays(rows)
    assert regression.measure(labels, scores) == pytest.approx(
        {
            "mae": reference.mean_absolute_error(labels, scores),
            "rmse": reference.root_mean_squared_error(labels, scores),
            "mape": reference.mean_absolute_percentage_error(labels, scores),
            "wape": np.abs(scores - labels).sum() / np.abs(labels).sum(),
            "r2": reference.r2_score(labels, scores),
            "bias": scores.mean() - labels.mean(),
        },
        rel=1e-9,
        abs=1e-9,
    )


@settings(deadline=None, max_examples=40)
@given(ROWS, st.sampled_from([0.1, 0.5, 0.72]))
def test_pinball_is_what_scikit_learn_says(rows, quantile):
    labels, scores = arrays(rows)
    expected = reference.mean_pinball_loss(labels, scores, alpha=quantile)
    assert regression.pinball(labels, scores, quantile) == pytest.approx(expected, abs=1e-9)


def test_the_pinball_loss_of_the_right_quantile_is_the_money_lost():
    random = np.random.default_rng(0)
    labels, scores = random.normal(100, 20, 500), random.normal(100, 10, 500)
    over, under = 1.0, 2.5
    lost = np.where(scores > labels, over * (scores - labels), under * (labels - scores)).mean()
    assert (over + under) * regression.pinball(labels, scores, under / (under + over)) == pytest.approx(lost)


def test_mape_leaves_out_rows_whose_label_is_zero():
    labels, scores = np.array([0.0, 10.0, -20.0]), np.array([5.0, 11.0, -10.0])
    assert regression.mape(labels, scores) == pytest.approx((0.1 + 0.5) / 2)
    assert regression.wape(labels, scores) == pytest.approx((5 + 1 + 10) / 30)


def test_what_the_rows_cannot_give_is_left_out():
    nothing = np.array([])
    assert regression.measure(nothing, nothing) == {}
    assert math.isnan(regression.pinball(nothing, nothing, 0.5))
    zeros = np.zeros(3)
    assert regression.measure(zeros, zeros + 2) == {"mae": 2.0, "rmse": 2.0, "bias": 2.0}
    assert math.isnan(regression.r2(np.full(3, 0.1), np.array([0.1, 0.2, 0.3])))


@pytest.mark.parametrize("quantile", [0.0, 1.0, -3.0])
def test_a_quantile_lies_between_0_and_1(quantile):
    with pytest.raises(ValueError, match="between 0 and 1"):
        regression.pinball(np.ones(2), np.ones(2), quantile)
