"""Intervals and paired comparisons: as wide as theory says, right as often as they claim, and the same for the same seed."""

import math

import numpy as np
import pytest

from noria.core.metrics.binary import roc_auc
from noria.core.metrics.resampling import binary_statistic, mean_of_rows, regression_statistic
from noria.core.stats.bootstrap import bootstrap_interval, mean_interval, paired_difference


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    values = np.random.default_rng(0).normal(size=500)
    metric = mean_of_rows(values)
    assert bootstrap_interval(metric, 500, seed=1) == bootstrap_interval(metric, 500, seed=1)
    assert bootstrap_interval(metric, 500, seed=1) != bootstrap_interval(metric, 500, seed=2)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    other = mean_of_rows(values + np.random.default_rng(1).normal(size=500))
    once = paired_difference("value", metric, other, 500, seed=1)
    assert once == paired_difference("value", metric, other, 500, seed=1)
    assert once != paired_difference("value", metric, other, 500, seed=2)


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_mean_is_as_sure_as_theory_says(distinct, level):
    values = np.random.default_rng(3).normal(10, 4, 4_000)
    values = values if distinct else np.round(values)
    error = values.std() / math.sqrt(len(values)) * {0.8: 1.2816, 0.95: 1.96}[level]
    for found in (
        mean_interval(values, seed=7, rounds=2_000, level=level),
        bootstrap_interval(mean_of_rows(values), len(values), seed=7, rounds=2_000, level=level),
    ):
        assert found.value == pytest.approx(values.mean())
        assert found.low == pytest.approx(values.mean() - error, abs=0.15 * error)
        assert found.high == pytest.approx(values.mean() + error, abs=0.15 * error)


def test_an_interval_of_roc_auc_has_the_width_of_delong():
    random = np.random.default_rng(0)
    labels = random.random(3_000) < 0.4
    scores = np.round(labels + 2 * random.normal(size=3_000), 2)
    found = bootstrap_interval(binary_statistic("roc_auc", labels, scores, 0.5), 3_000, seed=1, rounds=1_000)
    above, below = scores[labels][:, None], scores[~labels][None, :]
    wins = (above > below) + 0.5 * (above == below)
    error = 1.96 * math.sqrt(wins.mean(axis=1).var() / labels.sum() + wins.mean(axis=0).var() / (~labels).sum())
    assert found.value == pytest.approx(roc_auc(labels, scores))
    assert (found.high - found.low) / 2 == pytest.approx(error, rel=0.12)


def test_days_that_go_up_and_down_as_one_make_a_mean_less_sure():
    random = np.random.default_rng(4)
    days = np.repeat(np.arange(60), 50)
    values = random.normal(0, 1, 60)[days] + random.normal(0, 1, len(days))
    by_row = mean_interval(values, seed=1, rounds=1_000)
    by_day = mean_interval(values, seed=1, rounds=1_000, groups=days)
    same = bootstrap_interval(mean_of_rows(values), len(values), seed=1, rounds=1_000, groups=days)
    of_days = values.reshape(60, 50).mean(axis=1)
    error = 1.96 * of_days.std() / math.sqrt(60)
    assert (by_day.high - by_day.low) / 2 == pytest.approx(error, rel=0.12)
    assert (by_day.low, by_day.high) == pytest.approx((same.low, same.high), abs=1e-9)
    assert (by_row.high - by_row.low) < 0.5 * (by_day.high - by_day.low)


def test_groups_need_no_order_and_no_equal_sizes():
    random = np.random.default_rng(5)
    names = random.choice(["amsterdam", "berlin", "chartres", "delft", "evora"], 400, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    drawn = []

    def rows_seen(rows):
        drawn.append(np.sort(rows))
        return float(len(rows))

    bootstrap_interval(rows_seen, 400, seed=1, groups=names.tolist(), rounds=50)
    assert len(drawn) == 51
    for rows in drawn[1:]:
        times = np.bincount(rows, minlength=400)
        per_group = {name: set(times[names == name].tolist()) for name in np.unique(names)}
        assert all(len(found) == 1 for found in per_group.values())  # whole groups
        assert sum(found.pop() for found in per_group.values()) == 5


def test_intervals_hold_the_truth_about_as_often_as_they_claim():
    held = 0
    for seed in range(300):
        values = np.random.default_rng(seed).exponential(1.0, 150)
        found = mean_interval(values, seed=seed, level=0.9)
        held += found.low <= 1.0 <= found.high
    assert 0.84 <= held / 300 <= 0.95


def test_what_helps_is_seen_and_which_way_is_up_is_known():
    random = np.random.default_rng(0)
    labels, noise = random.random(2_000) < 0.4, random.random(2_000)
    good, poor = labels + noise, labels + 2 * noise
    for metric in ("roc_auc", "brier"):
        candidate, rival = (binary_statistic(metric, labels, scores, 0.5) for scores in (good, poor))
        found = paired_difference(metric, candidate, rival, 2_000, seed=1)
        back = paired_difference(metric, rival, candidate, 2_000, seed=1)
        assert found.p_not_better == pytest.approx(1 / 201)
        assert back.p_not_better == 1.0
        assert found.difference == found.candidate - found.rival == pytest.approx(-back.difference)
        assert found.low < found.difference < found.high
        assert (found.low, found.high) == pytest.approx((-back.high, -back.low))
    assert found.high < 0  # a lower Brier score is better


def test_pairing_sees_what_two_intervals_cannot():
    random = np.random.default_rng(6)
    money = random.normal(0, 100, 1_000)
    candidate, rival = money + 1 + random.normal(0, 5, 1_000), money
    first, second = mean_interval(candidate, seed=1), mean_interval(rival, seed=2)
    assert first.low < second.high  # apart, they overlap
    assert paired_difference("value", mean_of_rows(candidate), mean_of_rows(rival), 1_000, seed=1).p_not_better <= 0.05


def test_equal_models_are_not_better():
    metric = mean_of_rows(np.random.default_rng(0).normal(size=100))
    found = paired_difference("value", metric, metric, 100, seed=1)
    assert (found.difference, found.low, found.high, found.p_not_better) == (0.0, 0.0, 0.0, 1.0)
    assert paired_difference("value", metric, metric, 100, seed=1, margin=0.01).p_not_better == pytest.approx(1 / 201)


def test_a_margin_is_in_the_metrics_own_unit_and_way():
    random = np.random.default_rng(1)
    labels = random.normal(100, 10, 500)
    candidate = regression_statistic("mae", labels, labels + 5.2 * random.choice([-1, 1], 500))
    rival = regression_statistic("mae", labels, labels + 5.0 * random.choice([-1, 1], 500))
    assert paired_difference("mae", candidate, rival, 500, seed=1).p_not_better == 1.0
    assert paired_difference("mae", candidate, rival, 500, seed=1, margin=0.1).p_not_better == 1.0
    assert paired_difference("mae", candidate, rival, 500, seed=1, margin=0.3).p_not_better == pytest.approx(1 / 201)
    assert paired_difference("mae", rival, candidate, 500, seed=1, margin=-0.1).p_not_better == pytest.approx(1 / 201)
    assert paired_difference("mae", rival, candidate, 500, seed=1, margin=-0.3).p_not_better == 1.0


def test_bias_is_compared_by_its_size():
    labels = np.random.default_rng(1).normal(100, 10, 500)
    low, high = (regression_statistic("bias", labels, labels + shift) for shift in (-1.0, 3.0))
    found = paired_difference("bias", low, high, 500, seed=1)
    assert (found.candidate, found.rival) == (pytest.approx(-1.0), pytest.approx(3.0))
    assert (found.difference, found.low, found.high) == pytest.approx((-2.0, -2.0, -2.0))
    assert found.p_not_better == pytest.approx(1 / 201)


def test_a_model_that_is_no_better_seldom_passes():
    passed = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        candidate, rival = (mean_of_rows(random.normal(size=100)) for _ in range(2))
        passed += paired_difference("value", candidate, rival, 100, seed=seed, rounds=100).p_not_better <= 0.05
    assert 0.01 <= passed / 300 <= 0.09


def test_few_groups_are_never_enough_to_be_sure():
    better, worse = mean_of_rows(np.full(90, 2.0)), mean_of_rows(np.full(90, 1.0))
    for groups, p in ((1, 1.0), (3, 0.125), (5, 1 / 32), (9, 1 / 201)):
        days = np.arange(90) % groups
        assert paired_difference("value", better, worse, 90, seed=1, groups=days).p_not_better == pytest.approx(p)


def test_undefined_difference_is_nan_and_counts_against_the_candidate():
    alone = mean_interval(np.array([3.0]), seed=1)
    assert alone.value == 3.0
    assert math.isnan(alone.low)
    assert math.isnan(mean_interval(np.array([]), seed=1).value)
    assert math.isnan(mean_interval(np.arange(4.0), seed=1, groups=["a"] * 4).high)
    assert math.isnan(bootstrap_interval(mean_of_rows(np.array([])), 0, seed=1).value)
    nothing = paired_difference("value", lambda _: math.nan, lambda _: 1.0, 50, seed=1)
    assert nothing.p_not_better == 1.0
    assert math.isnan(nothing.low)


def test_samples_that_cannot_tell_leave_the_bounds_out_where_they_are_many():
    labels = np.zeros(40, dtype=bool)
    labels[0] = True  # a third of the samples miss the only positive row
    scores = np.linspace(1, 0, 40)
    found = bootstrap_interval(binary_statistic("roc_auc", labels, scores, 0.5), 40, seed=1)
    assert found.value == 1.0
    assert math.isnan(found.low)
    rival = binary_statistic("roc_auc", labels, -scores, 0.5)
    found = paired_difference("roc_auc", binary_statistic("roc_auc", labels, scores, 0.5), rival, 40, seed=1)
    assert 0.2 < found.p_not_better < 0.5
