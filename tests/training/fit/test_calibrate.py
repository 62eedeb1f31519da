import numpy as np
import pytest

from noria.core.metrics.binary import log_loss, roc_auc
from noria.core.model.value import NEVER
from noria.core.use_case import ConfusionValue, Task
from noria.training.data.target import PredictionTarget
from noria.training.fit.calibrate import at_level, calibrate, choose_calibration, isotonic_map
from noria.training.fit.threshold import choose_threshold, threshold_curve


def overconfident(rows: int = 20_000, seed: int = 5):
    random = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-random.normal(-1, 1, rows)))
    labels = random.random(rows) < truth
    odds = truth / (1 - truth)
    return odds**2.5 / (1 + odds**2.5), labels


def test_overconfident_scores_become_probabilities():
    scores, labels = overconfident()
    fresh_scores, fresh_labels = overconfident(seed=6)
    found = calibrate(scores, labels).apply(fresh_scores)
    assert log_loss(fresh_labels, found) < log_loss(fresh_labels, fresh_scores) - 0.1
    for low, high in ((0.1, 0.2), (0.3, 0.4), (0.5, 0.7)):
        inside = (found >= low) & (found < high)
        assert inside.sum() > 200
        assert fresh_labels[inside].mean() == pytest.approx(found[inside].mean(), abs=0.05)


def test_the_order_of_scores_stays():
    scores, labels = overconfident()
    found = calibrate(scores, labels).apply(scores)
    assert roc_auc(labels, found) == pytest.approx(roc_auc(labels, scores), abs=2e-3)
    assert (np.diff(found[np.argsort(scores)]) >= 0).all()


@pytest.mark.parametrize("scores", [np.full(500, 0.3), np.array([0.0] * 250 + [1.0] * 250)])
def test_scores_of_few_values_do_not_break_it(scores):
    labels = np.arange(500) % 3 == 0
    assert (np.diff(isotonic_map(scores, labels).scores) > 0).all()
    assert np.isfinite(isotonic_map(scores, labels).apply(scores)).all()
    assert np.isfinite(calibrate(scores, labels).apply(scores)).all()


def test_scores_are_moved_to_a_level_without_changing_their_order():
    scores, labels = overconfident()
    moved = at_level(scores, np.arange(20_000) % 5 < 2)
    assert moved.mean() == pytest.approx(0.4, abs=1e-6)
    assert roc_auc(labels, moved) == pytest.approx(roc_auc(labels, scores), abs=1e-6)
    assert np.isfinite(at_level(np.array([0.0, 1.0, 0.5]), np.array([True, False, False]))).all()


def test_a_rate_that_rose_is_not_corrected_twice():
    """A refitted model knows the new rate; calibration from its predecessor, which did not, must leave that alone."""
    random = np.random.default_rng(8)
    truth = 1 / (1 + np.exp(-random.normal(-0.5, 1, 40_000)))
    labels = random.random(40_000) < truth
    predecessor = at_level(truth, np.arange(40_000) % 4 == 0)
    assert labels.mean() > 0.38
    careful = calibrate(at_level(predecessor, labels), labels).apply(truth)
    naive = calibrate(predecessor, labels).apply(truth)
    assert careful.mean() == pytest.approx(labels.mean(), abs=0.01)
    assert naive.mean() > labels.mean() + 0.08


def test_the_map_that_fits_is_taken():
    scores, labels = overconfident(4000)
    assert (
        choose_calibration(scores, labels, PredictionTarget()).calibration.kind == "sigmoid"
    )  # a line in log odds is what it is
    random = np.random.default_rng(3)
    scores = random.random(20_000)
    staircase = random.random(20_000) < np.where(scores < 0.3, 0.02, np.where(scores < 0.8, 0.5, 0.55))
    chosen = choose_calibration(scores, staircase, PredictionTarget())
    assert chosen.calibration.kind == "isotonic"
    assert chosen.name.startswith("isotonic (log loss out of fold: isotonic 0.")


def test_a_temperature_mends_classes_that_are_too_sure_of_themselves():
    random = np.random.default_rng(5)
    margins = random.normal(size=(6000, 4))
    truth = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(4, p=row) for row in truth])
    scores = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    chosen = choose_calibration(scores, labels, PredictionTarget(Task.MULTICLASS, 4))
    assert chosen.calibration.kind == "temperature"
    assert chosen.calibration.temperature == pytest.approx(3.0, rel=0.1)


def test_few_separated_rows_do_not_prove_certainty():
    """Thirty rows right and fairly sure would be best described by never being wrong: that is not learnt from thirty."""
    labels = np.arange(30) % 3
    scores = np.where(np.eye(3)[labels] == 1, 0.9, 0.05)
    surest = choose_calibration(scores, labels, PredictionTarget(Task.MULTICLASS, 3)).calibration.apply(scores).max()
    assert 0.9 < surest < 0.995
    yes = labels == 1
    found = choose_calibration(np.where(yes, 0.9, 0.1), yes, PredictionTarget())
    assert "isotonic" not in found.name
    assert 0.9 < found.calibration.apply(np.array([0.9]))[0] < 0.995


def test_classes_are_moved_to_their_rates():
    random = np.random.default_rng(6)
    scores = random.dirichlet([2.0, 1.0, 1.0], 3000)
    labels = random.choice(3, 3000, p=[0.2, 0.5, 0.3])
    moved = at_level(scores, labels, PredictionTarget(Task.MULTICLASS, 3))
    np.testing.assert_allclose(moved.mean(axis=0), np.bincount(labels) / 3000, atol=1e-4)
    np.testing.assert_allclose(moved.sum(axis=1), 1.0)


def test_a_number_is_shifted_to_where_both_mistakes_cost_the_same():
    random = np.random.default_rng(7)
    labels = random.gamma(2.0, 3.0, 5000)
    scores = np.full(5000, 6.0)
    calibration = choose_calibration(scores, labels, PredictionTarget(Task.REGRESSION, quantile=0.75)).calibration
    assert calibration.kind == "shift"
    assert np.mean(labels <= calibration.apply(scores)) == pytest.approx(0.75, abs=0.01)


def test_a_number_that_aims_at_a_quantile_is_not_shifted_twice():
    random = np.random.default_rng(8)
    labels = random.gamma(2.0, 3.0, 20_000)
    target, at_quantile = PredictionTarget(Task.REGRESSION, quantile=0.75), np.full(20_000, np.quantile(labels, 0.75))
    leveled = at_level(at_quantile - 1.0, labels, target, ((1.0, 0.75),))  # its predecessor was 1 too low
    np.testing.assert_allclose(leveled, at_quantile, atol=0.01)
    assert abs(calibrate(leveled, labels, target).shift) < 0.05


VALUE = ConfusionValue(true_positive=5, false_positive=-1, false_negative=-3, true_negative=0)


def test_the_curve_is_what_each_threshold_is_worth():
    scores, labels = overconfident(3000)
    thresholds = np.append(np.quantile(scores, np.linspace(0, 1, 20)), NEVER)
    curve = threshold_curve(VALUE, labels, scores, thresholds)
    for threshold, per_1000 in zip(thresholds, curve, strict=True):
        yes = scores >= threshold
        money = 5 * (yes & labels).sum() - (yes & ~labels).sum() - 3 * (~yes & labels).sum()
        assert per_1000 == pytest.approx(1000 * money / 3000)
    assert curve[-1] == pytest.approx(-3000 * labels.mean())  # always no


def test_a_computed_threshold_is_kept_unless_a_searched_one_is_clearly_worth_more():
    scores, labels = overconfident()
    honest = calibrate(scores, labels).apply(scores)
    kept = choose_threshold(VALUE, labels, honest)
    assert kept.value == pytest.approx(1 / 9)
    assert "computed from the money" in kept.note
    wrong = honest / (honest + 20 * (1 - honest))  # far too low: the computed threshold warns hardly anyone
    found = choose_threshold(VALUE, labels, wrong)
    assert found.value < 0.02
    assert "found on calibration rows" in found.note


def test_a_decision_that_always_pays_needs_no_search():
    scores, labels = overconfident(500)
    always = ConfusionValue(true_positive=5, false_positive=1, false_negative=0, true_negative=0)
    assert choose_threshold(always, labels, scores).value == 0.0
