import numpy as np
import pytest

from noria.core.metrics import log_loss, roc_auc
from noria.training.calibrate import at_level, calibrate


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
    calibration = calibrate(scores, labels)
    assert (np.diff(calibration.scores) > 0).all()
    assert np.isfinite(calibration.apply(scores)).all()


def test_scores_are_moved_to_a_level_without_changing_their_order():
    scores, labels = overconfident()
    moved = at_level(scores, 0.4)
    assert moved.mean() == pytest.approx(0.4, abs=1e-6)
    assert roc_auc(labels, moved) == pytest.approx(roc_auc(labels, scores), abs=1e-6)
    assert np.isfinite(at_level(np.array([0.0, 1.0, 0.5]), 0.2)).all()


def test_a_rate_that_rose_is_not_corrected_twice():
    """A refitted model knows the new rate; calibration from its predecessor, which did not, must leave that alone."""
    random = np.random.default_rng(8)
    truth = 1 / (1 + np.exp(-random.normal(-0.5, 1, 40_000)))
    labels = random.random(40_000) < truth
    predecessor = at_level(truth, 0.25)
    assert labels.mean() > 0.38
    careful = calibrate(at_level(predecessor, float(labels.mean())), labels).apply(truth)
    naive = calibrate(predecessor, labels).apply(truth)
    assert careful.mean() == pytest.approx(labels.mean(), abs=0.01)
    assert naive.mean() > labels.mean() + 0.08
