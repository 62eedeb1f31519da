"""Intervals hold the truth, and gates err, as often as they say: few days, days that hang together, rare positives."""

import math

import numpy as np
import pytest

from noria.core.metrics.resampling import binary_statistic, mean_of_rows
from noria.core.stats.jackknife import MOST_BLOCKS, Blocks, MeasuredFigure, measure_figure, measure_mean, range_quantile

ROWS_A_DAY = 100


def day_effects(draw, days, correlation):
    effects = np.empty(days)
    effects[0] = draw.normal()
    for day in range(1, days):
        effects[day] = correlation * effects[day - 1] + math.sqrt(1 - correlation**2) * draw.normal()
    return effects


def rates(days, icc, correlation, runs=600):
    """Share of 95 % intervals that hold the mean, and share of gates at .95 that call it above 0."""
    draw, holds, above = np.random.default_rng(days), 0, 0
    blocks = Blocks.of(np.repeat(np.arange(days), ROWS_A_DAY), in_time=True)
    for _ in range(runs):
        of_days = np.repeat(math.sqrt(icc) * day_effects(draw, days, correlation), ROWS_A_DAY)
        found = measure_mean(of_days + math.sqrt(1 - icc) * draw.normal(size=len(of_days)), blocks)
        low, high = found.bounds()
        holds += low <= 0 <= high
        above += found.p_below(0.0) <= 0.05
    return holds / runs, above / runs


@pytest.mark.slow
@pytest.mark.parametrize("icc", [0.02, 0.1])
@pytest.mark.parametrize("days", [5, 7, 10, 14, 30, 60])
def test_intervals_of_days_hold_the_truth(days, icc):
    holds, above = rates(days, icc, correlation=0.0)
    assert holds >= 0.93
    assert above <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("days", [5, 7, 10, 14, 30, 60])
def test_intervals_of_days_that_hang_together_are_nearly_as_right(days):
    holds, _ = rates(days, 0.1, correlation=0.5)
    assert holds >= 0.88  # 0.90 less two standard errors of 600 runs


def two_models(draw, days, positives_on=None):
    """Labels and scores of two models that are equally good, by day."""
    day = np.repeat(np.arange(days), 60)
    odds = draw.normal(size=len(day)) + 0.5 * draw.normal(size=days)[day] - 2.2
    labels = draw.random(len(day)) < 1 / (1 + np.exp(-odds))
    if positives_on is not None:
        labels = np.isin(day, positives_on) & (draw.random(len(day)) < 0.25)
    scores = (1 / (1 + np.exp(-odds - draw.normal(size=len(day)))) for _ in range(2))
    return day, labels, *scores


def p_of_lead(metric, day, labels, one, other):
    ours, theirs = binary_statistic(metric, labels, one, 0.5), binary_statistic(metric, labels, other, 0.5)
    blocks = Blocks.of(day, in_time=True, informative=labels)
    return measure_figure(lambda rows: ours(rows) - theirs(rows), blocks).p_below(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("days", [5, 10, 30])
def test_equal_models_are_seldom_called_better(days, metric):
    draw = np.random.default_rng(1)
    better = sum(p_of_lead(metric, *two_models(draw, days)) <= 0.05 for _ in range(200))
    assert better <= 0.06 * 200 + 6  # 6 is two standard errors


def test_positives_on_two_days_say_nothing():
    draw = np.random.default_rng(2)
    assert [p_of_lead("average_precision", *two_models(draw, 30, positives_on=[4, 20])) for _ in range(5)] == [1.0] * 5


def test_one_group_says_nothing():
    found = measure_mean(np.arange(50.0), Blocks.of(np.zeros(50), in_time=False))
    assert (found.value, found.is_measured, found.p_below(0.0)) == (24.5, False, 1.0)
    assert all(math.isnan(bound) for bound in found.bounds())


def test_mean_is_that_of_the_statistic_with_blocks_of_any_size():
    draw = np.random.default_rng(3)
    days, values = draw.integers(0, 12, 500), draw.normal(size=500)
    blocks = Blocks.of(days, in_time=True)
    quick, slow = measure_mean(values, blocks), measure_figure(mean_of_rows(values), blocks)
    assert (quick.value, quick.error, quick.freedom) == pytest.approx((slow.value, slow.error, slow.freedom), rel=1e-9)


def test_equal_blocks_of_rows_give_the_standard_error_of_a_mean():
    values = np.random.default_rng(4).normal(size=40)
    found = measure_mean(values, Blocks.of(np.arange(40), in_time=False))
    assert found.error == pytest.approx(values.std(ddof=1) / math.sqrt(40), rel=1e-9)
    assert found.freedom == pytest.approx(39)


def test_many_blocks_are_merged_with_their_neighbours():
    blocks = Blocks.of(np.arange(365), in_time=True)
    assert blocks.count == MOST_BLOCKS
    assert np.all(np.diff(blocks.number) >= 0)
    assert blocks.take(np.arange(100)).count == len(np.unique(blocks.number[:100]))


def test_figure_that_is_undefined_without_a_block_is_not_measured():
    labels = np.zeros(100, dtype=bool)
    labels[:5] = True
    day = np.repeat(np.arange(5), 20)
    auc = binary_statistic("roc_auc", labels, np.linspace(0, 1, 100), 0.5)
    assert not measure_figure(auc, Blocks.of(day, in_time=True)).is_measured


def test_certain_figure_has_no_width():
    found = measure_mean(np.full(30, 2.0), Blocks.of(np.arange(30), in_time=False))
    assert found.bounds() == (2.0, 2.0)
    assert (found.p_below(1.0), found.p_below(2.0)) == (0.0, 1.0)
    assert MeasuredFigure(math.nan).p_below(0.0) == 1.0


@pytest.mark.parametrize("groups", [2, 5, 20])
def test_range_of_equal_groups_is_seldom_wider_than_by_chance(groups):
    draw, wider, runs = np.random.default_rng(groups), 0, 150
    number = np.repeat(np.arange(groups), 500)
    for _ in range(runs):
        yes = draw.random(len(number)) < 0.3
        blocks = Blocks.of(draw.permutation(len(number)) % MOST_BLOCKS, in_time=False)
        whole = np.bincount(number, weights=yes) / 500
        parts = [np.bincount(number[rows], weights=yes[rows]) / np.bincount(number[rows]) for rows in blocks.rows_left]
        wider += np.ptp(whole) > range_quantile(whole[None], np.array(parts)[:, None], blocks)
    assert wider / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
