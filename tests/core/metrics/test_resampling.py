"""The quick metric of drawn rows is the metric of those rows, for any draw."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.core.metrics import binary, multiclass, regression
from noria.core.metrics.resampling import binary_statistic, mean_of_rows, multiclass_statistic, regression_statistic
from noria.core.use_case import ConfusionValue

ROWS = 30
FREE = ConfusionValue(true_positive=0, false_positive=0, false_negative=0, true_negative=0)
DRAWS = st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=60).map(lambda rows: np.array(rows, dtype=np.int64))
RANDOM = np.random.default_rng(5)
SCORES = np.round(RANDOM.random(ROWS), 1)  # rounded, for ties
LABELS = RANDOM.random(ROWS) < SCORES
NUMBERS = RANDOM.normal(50, 10, ROWS)
CAME = RANDOM.integers(0, 3, ROWS)
CHANCES = RANDOM.dirichlet(np.ones(3), ROWS)
DECIDED = CHANCES.argmax(axis=1)


def known(found):
    return {name: value for name, value in found.items() if math.isfinite(value)}


@settings(deadline=None, max_examples=60)
@given(DRAWS)
def test_binary(drawn):
    expected = binary.measure(LABELS[drawn], SCORES[drawn], 0.5, FREE)
    del expected["value"]
    every = set(binary.measure(LABELS, SCORES, 0.5, FREE)) - {"value"}
    assert len(every) == 8
    found = {name: binary_statistic(name, LABELS, SCORES, 0.5)(drawn) for name in every}
    assert known(found) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(DRAWS)
def test_multiclass(drawn):
    expected = multiclass.measure(CAME[drawn], CHANCES[drawn], DECIDED[drawn])
    every = set(multiclass.measure(CAME, CHANCES, DECIDED))
    assert len(every) == 9
    found = {name: multiclass_statistic(name, CAME, CHANCES, DECIDED)(drawn) for name in every}
    assert known(found) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(DRAWS)
def test_regression(drawn):
    predicted = NUMBERS + SCORES
    expected = regression.measure(NUMBERS[drawn], predicted[drawn])
    every = set(regression.measure(NUMBERS, predicted))
    assert len(every) == 6
    found = {name: regression_statistic(name, NUMBERS, predicted)(drawn) for name in every}
    assert known(found) == pytest.approx(expected, abs=1e-12)


def test_the_mean_of_drawn_rows():
    money = mean_of_rows(np.array([25.0, -6.0, 0.0]))
    assert money(np.array([0, 0, 1])) == pytest.approx(44 / 3)
    assert math.isnan(money(np.array([], dtype=np.int64)))


def test_an_unknown_metric_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"mae is no metric of binary classification; these are: .*roc_auc"):
        binary_statistic("mae", LABELS, SCORES, 0.5)
    with pytest.raises(ValueError, match=r"f1 is no metric of a choice among classes; these are: accuracy"):
        multiclass_statistic("f1", CAME, CHANCES, DECIDED)
    with pytest.raises(ValueError, match=r"value is no metric of a predicted number; these are: bias"):
        regression_statistic("value", NUMBERS, NUMBERS)
