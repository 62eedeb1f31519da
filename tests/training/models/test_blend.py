import numpy as np
import pytest

from noria.core.metrics.binary import log_loss, roc_auc
from noria.core.use_case import Task
from noria.training.data.target import PredictionTarget
from noria.training.models.base.margin import scores_of
from noria.training.models.blend import MOST_MEMBERS, BlendCandidate, select_blend


def rmse(labels, scores):
    return float(np.sqrt(np.mean((labels - scores) ** 2)))


def two_that_err_apart(rows=4000, seed=1):
    """Two models of the same quality, each blind to half of what matters, and a third that adds nothing."""
    random = np.random.default_rng(seed)
    one, other = random.normal(size=(2, rows)) * 1.5
    labels = random.random(rows) < 1 / (1 + np.exp(-(one + other)))
    odds = [one, other, 0.5 * one + random.normal(size=rows)]
    names = ("linear", "gradient_boosting", "linear")
    return labels, [
        BlendCandidate(name, {"at": float(number)}, number, scores_of(PredictionTarget(), margin[:, None]))
        for number, (name, margin) in enumerate(zip(names, odds, strict=True))
    ]


def test_blend_of_independent_errors_is_better():
    labels, contenders = two_that_err_apart()
    chosen = select_blend(contenders, labels, PredictionTarget(), log_loss, lower_is_better=True)
    assert chosen is not None
    weights = {member.number: member.weight for member in chosen.members}
    assert weights[0] == pytest.approx(0.5, abs=0.11)
    assert weights[1] == pytest.approx(0.5, abs=0.11)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert chosen.value < min(log_loss(labels, one.scores) for one in contenders)
    assert chosen.gain > 0.01
    assert {member.number: member.params for member in chosen.members}[1] == {"at": 1.0}


def test_the_direction_of_the_metric_is_minded():
    labels, contenders = two_that_err_apart()
    chosen = select_blend(contenders, labels, PredictionTarget(), roc_auc, lower_is_better=False)
    assert chosen is not None
    assert chosen.value > max(roc_auc(labels, one.scores) for one in contenders)


def test_the_same_contenders_give_the_same_blend():
    labels, contenders = two_that_err_apart()
    first, again = (select_blend(contenders, labels, PredictionTarget(), log_loss, lower_is_better=True) for _ in range(2))
    assert first == again


def test_noise_is_seldom_taken_for_a_gain():
    """Models that know nothing rank rows at random, and some average of them ranks these rows a little better by chance."""
    taken = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        labels = random.random(600) < 0.3
        contenders = [BlendCandidate("linear", {}, number, random.random(600)) for number in range(6)]
        taken += select_blend(contenders, labels, PredictionTarget(), roc_auc, lower_is_better=False) is not None
    assert taken <= 4


def test_blend_of_equal_scores_is_none():
    labels = np.random.default_rng(3).random(2000) < 0.3
    contenders = [BlendCandidate("linear", {}, number, np.full(2000, 0.3)) for number in range(5)]
    assert select_blend(contenders, labels, PredictionTarget(), log_loss, lower_is_better=True) is None


def test_one_contender_is_no_blend():
    labels, contenders = two_that_err_apart(200)
    assert select_blend(contenders[:1], labels, PredictionTarget(), log_loss, lower_is_better=True) is None


def test_numbers_are_averaged_and_members_are_few():
    random = np.random.default_rng(2)
    labels = random.normal(size=1500)
    kinds = ("linear", "gradient_boosting", "random_forest")
    contenders = [BlendCandidate(kinds[i % 3], {}, i, labels + random.normal(size=1500)) for i in range(12)]
    chosen = select_blend(contenders, labels, PredictionTarget(Task.REGRESSION), rmse, lower_is_better=True)
    assert chosen is not None
    assert 2 <= len(chosen.members) <= MOST_MEMBERS
    assert chosen.value < 0.6
