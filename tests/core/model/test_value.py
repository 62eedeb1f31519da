import numpy as np
import pytest

from noria.core.base.interval import Interval
from noria.core.model.value import NEVER, best_threshold, running_cost, total_value, value_per_1000
from noria.core.use_case import ConfusionValue, Costs


def money(tp: float, fp: float, fn: float, tn: float = 0.0) -> ConfusionValue:
    return ConfusionValue(true_positive=tp, false_positive=fp, false_negative=fn, true_negative=tn)


def test_money_is_counted_per_outcome():
    labels = np.array([True] * 3 + [False] * 5)
    decisions = np.array([True, True, False] + [True] * 4 + [False])
    assert total_value(money(25, -6, -15, 1), labels, decisions) == 2 * 25 - 15 - 4 * 6 + 1
    assert value_per_1000(money(25, -6, -15, 1), labels, decisions) == 1000 * 12 / 8


def test_the_threshold_is_where_acting_breaks_even():
    value = money(25, -6, -15)
    threshold = best_threshold(value)
    assert threshold == pytest.approx(6 / 46)
    acting = threshold * value.true_positive + (1 - threshold) * value.false_positive
    waiting = threshold * value.false_negative + (1 - threshold) * value.true_negative
    assert acting == pytest.approx(waiting)


def test_no_other_threshold_earns_more_on_calibrated_scores():
    random = np.random.default_rng(2)
    scores = random.beta(1, 3, 200_000)
    labels = random.random(200_000) < scores
    value = money(25, -6, -15)
    best = total_value(value, labels, scores >= best_threshold(value))
    others = [total_value(value, labels, scores >= threshold) for threshold in np.arange(0.02, 0.9, 0.02)]
    assert best >= max(others) * 0.999


@pytest.mark.parametrize(
    ("value", "expected"),
    [(money(5, 1, -3), 0.0), (money(5, 0, 5), 0.0), (money(-1, -6, 0), NEVER), (money(-1, 2, 0), NEVER)],
)
def test_money_that_leaves_no_choice(value, expected):
    assert best_threshold(value) == expected


def test_running_costs_follow_time_and_use():
    costs = Costs(monthly=120, training_run=0.5, per_1000_predictions=0.01)
    year = Interval.parse("2013-01-01", "2014-01-01")
    assert running_cost(costs, year, predictions=2_000_000, training_runs=4) == pytest.approx(120 * 12 + 20 + 2, rel=1e-2)
