"""Scores become decisions, and decisions money, for each of the three tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.core.metrics.measure import measure_predictions
from noria.core.model.calibration import Calibration
from noria.core.model.decision import DecisionPolicy, best_quantile, money, nothing, perfect, policy_of
from noria.core.model.value import total_value, value_per_1000
from noria.core.use_case import ConfusionValue, Task, UnitValue
from noria.testing.builders import a_use_case

CONFUSION = ConfusionValue(true_positive=25, false_positive=-6, false_negative=-15, true_negative=0)
CLASSES = ("calm", "windy", "storm")
PAYOFFS = {
    "calm": {"calm": 0.0, "windy": -10.0, "storm": -100.0},
    "windy": {"calm": -5.0, "windy": 5.0, "storm": -40.0},
    "storm": {"calm": -20.0, "windy": -10.0, "storm": 30.0},
}


def multiclass_policy():
    payoffs = tuple(tuple(PAYOFFS[decided][actual] for actual in CLASSES) for decided in CLASSES)
    return DecisionPolicy(task=Task.MULTICLASS, classes=CLASSES, payoffs=payoffs)


def test_a_binary_decision_is_yes_from_the_threshold_on():
    policy = DecisionPolicy(threshold=0.3)
    decisions = policy.decide(np.array([0.29, 0.3, 0.9]))
    assert policy.words(decisions) == [False, True, True]
    assert policy.chosen_scores(np.array([0.29, 0.3, 0.9]), decisions).tolist() == [0.29, 0.3, 0.9]


def test_a_class_is_decided_on_by_what_it_is_worth_not_by_what_is_likeliest():
    policy, scores = multiclass_policy(), np.array([[0.7, 0.1, 0.2], [1.0, 0.0, 0.0], [0.3, 0.6, 0.1]])
    decisions = policy.decide(scores)
    worth = scores @ np.array(policy.payoffs).T
    assert decisions.tolist() == worth.argmax(axis=1).tolist()
    assert policy.words(decisions) == ["storm", "calm", "windy"]
    assert policy.chosen_scores(scores, decisions).tolist() == [0.2, 1.0, 0.6]
    likeliest = policy.model_copy(update={"payoffs": ()}).decide(scores)
    assert policy.words(likeliest) == ["calm", "calm", "windy"]


def test_a_number_is_its_own_decision():
    policy = DecisionPolicy(task=Task.REGRESSION)
    assert policy.words(policy.decide(np.array([1.5, -2.0]))) == [1.5, -2.0]


def test_money_of_each_row():
    labels, decisions = np.array([True, False, True, False]), np.array([True, True, False, False])
    assert money(CONFUSION, labels, decisions).tolist() == [25, -6, -15, 0]
    assert total_value(CONFUSION, labels, decisions) == 4
    assert value_per_1000(CONFUSION, labels, decisions) == 1000
    assert money(PAYOFFS, np.array([2, 0]), np.array([1, 2]), CLASSES).tolist() == [-40, -20]
    unit = UnitValue(over=-1, under=-3)
    assert money(unit, np.array([10.0, 10.0, 10.0]), np.array([12.0, 9.0, 10.0])).tolist() == [-2, -3, 0]


@given(st.floats(-100, 0), st.floats(-100, -0.01), st.integers(0, 2**32 - 1))
def test_the_best_quantile_costs_least(over, under, seed):
    value = UnitValue(over=over, under=under)
    labels = np.sort(np.random.default_rng(seed).normal(size=199))
    costs = [total_value(value, labels, np.full(199, guess)) for guess in labels]
    index = min(int(best_quantile(value) * 199), 198)
    assert costs[index] == pytest.approx(max(costs), rel=1e-9, abs=1e-9)


def test_equal_costs_ask_for_the_median():
    assert best_quantile(UnitValue(over=-2, under=-2)) == 0.5
    assert best_quantile(UnitValue(over=0, under=0)) == 0.5


@given(st.integers(0, 2**32 - 1))
def test_nobody_beats_perfect_foresight(seed):
    random = np.random.default_rng(seed)
    labels, decisions = random.integers(0, 3, 50), random.integers(0, 3, 50)
    best = money(PAYOFFS, labels, perfect(PAYOFFS, labels, CLASSES), CLASSES)
    assert (best >= money(PAYOFFS, labels, decisions, CLASSES)).all()
    truth = labels == 1
    best = money(CONFUSION, truth, perfect(CONFUSION, truth))
    assert (best >= money(CONFUSION, truth, decisions == 1)).all()
    numbers = random.normal(size=50)
    unit = UnitValue(over=-1, under=-2)
    assert money(unit, numbers, perfect(unit, numbers)).tolist() == [0.0] * 50


def test_perfect_foresight_does_not_act_where_acting_never_pays():
    never = ConfusionValue(true_positive=-1, false_positive=-5, false_negative=0, true_negative=0)
    assert perfect(never, np.array([True, False])).tolist() == [False, False]


def test_doing_nothing():
    assert nothing(Task.BINARY_CLASSIFICATION, 2).tolist() == [False, False]
    assert nothing(Task.MULTICLASS, 2).tolist() == [0, 0]
    assert nothing(Task.REGRESSION, 2) is None


def test_a_use_case_decides_by_its_own_money(tmp_path):
    use_case = a_use_case(tmp_path, task="multiclass")
    policy = policy_of(use_case)
    assert policy.classes == ("on_time", "late", "lost")
    assert policy.payoffs[0] == (1.0, -1.0, -2.0)


def test_every_task_is_measured_with_its_money(tmp_path):
    random = np.random.default_rng(3)
    truth = random.random(300) < 0.3
    found = measure_predictions(DecisionPolicy(threshold=0.2), CONFUSION, truth, np.clip(truth * 0.5 + 0.1, 0, 1))
    assert (found["roc_auc"], found["value"]) == (1.0, pytest.approx(25_000 * truth.mean()))
    labels = random.integers(0, 3, 300)
    found = measure_predictions(multiclass_policy(), PAYOFFS, labels, np.eye(3)[labels])
    assert found["accuracy"] == 1.0
    numbers = random.normal(100, 20, 300)
    policy = policy_of(a_use_case(tmp_path, task="regression"))
    found = measure_predictions(policy, UnitValue(over=-1, under=-2), numbers, numbers + 5)
    assert (found["mae"], found["bias"], found["value"]) == (pytest.approx(5), pytest.approx(5), pytest.approx(-5000))


@pytest.mark.parametrize(
    ("calibration", "scores", "expected"),
    [
        (Calibration(), [0.2, 0.9], [0.2, 0.9]),
        (Calibration(scores=(0, 0.5, 1), probabilities=(0, 0.1, 1)), [0.25, 0.75], [0.05, 0.55]),
        (Calibration(kind="sigmoid"), [0.2, 0.9], [0.2, 0.9]),
        (Calibration(kind="sigmoid", slope=2, intercept=0), [0.5, 0.9], [0.5, 81 / 82]),
        (Calibration(kind="shift", shift=-2.5), [10, 0], [7.5, -2.5]),
        (Calibration(kind="temperature"), [[0.2, 0.3, 0.5]], [[0.2, 0.3, 0.5]]),
        (Calibration(kind="temperature", temperature=0.5), [[0.2, 0.4, 0.4]], [[1 / 9, 4 / 9, 4 / 9]]),
    ],
)
def test_calibrations(calibration, scores, expected):
    assert calibration.apply(np.array(scores, dtype=np.float64)) == pytest.approx(np.array(expected))


def test_a_temperature_survives_probabilities_of_zero_and_one():
    found = Calibration(kind="temperature", temperature=2.0).apply(np.array([[0.0, 1.0, 0.0]]))
    assert found.sum() == pytest.approx(1)
    assert np.isfinite(found).all()
