"""Intervals and gates over few days: rows of a day resemble one another, and so may neighbouring days."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.decisions.rate import Rate
from noria.core.metrics.resampling import binary_statistic
from noria.core.stats.jackknife import Blocks, measure_figure, measure_mean

Floats = npt.NDArray[np.float64]
RUNS, MODELS, ROWS_A_DAY, DAYS = 1000, 300, 100, (5, 7, 10, 14, 30, 60)


def rates() -> Iterator[Rate]:
    """Coverage, and equal models that are promoted."""
    for icc, correlation, least in ((0.02, 0.0, 0.93), (0.1, 0.0, 0.93), (0.1, 0.5, 0.90)):
        for days in DAYS:
            holds = sum(_holds(days, icc, correlation, seed) for seed in range(RUNS))
            hang = f", autocorrelation {correlation}" if correlation else ""
            yield Rate(f'"95 %" holds the mean: {days} days, ICC {icc}{hang}', holds, RUNS, at_least=least)
    for days in DAYS:
        better = sum(_called_better(days, seed) for seed in range(MODELS))
        yield Rate(f"equal models: average precision better_than at .95, {days} days", better, MODELS, at_most=0.06)
    better = sum(_called_better(30, seed, positives_on=(4, 20)) for seed in range(MODELS))
    yield Rate("the same, positives on two of 30 days", better, MODELS, at_most=0.06)


def _effects(draw: np.random.Generator, days: int, correlation: float) -> Floats:
    effects = np.empty(days)
    effects[0] = draw.normal()
    for day in range(1, days):
        effects[day] = correlation * effects[day - 1] + math.sqrt(1 - correlation**2) * draw.normal()
    return effects


def _holds(days: int, icc: float, correlation: float, seed: int) -> bool:
    draw = np.random.default_rng([days, seed])
    of_days = np.repeat(math.sqrt(icc) * _effects(draw, days, correlation), ROWS_A_DAY)
    values = of_days + math.sqrt(1 - icc) * draw.normal(size=len(of_days))
    low, high = measure_mean(values, Blocks.of(np.repeat(np.arange(days), ROWS_A_DAY), in_time=True)).bounds()
    return low <= 0 <= high


def _called_better(days: int, seed: int, positives_on: tuple[int, ...] = ()) -> bool:
    draw = np.random.default_rng([days, seed, 1])
    day = np.repeat(np.arange(days), ROWS_A_DAY)
    odds = draw.normal(size=len(day)) + 0.5 * draw.normal(size=days)[day] - 2.2
    labels = draw.random(len(day)) < 1 / (1 + np.exp(-odds))
    if positives_on:
        labels = np.isin(day, positives_on) & (draw.random(len(day)) < 0.25)
    one, other = (1 / (1 + np.exp(-odds - draw.normal(size=len(day)))) for _ in range(2))
    ours = binary_statistic("average_precision", labels, one, 0.5)
    theirs = binary_statistic("average_precision", labels, other, 0.5)
    blocks = Blocks.of(day, in_time=True, informative=labels)
    return measure_figure(lambda rows: ours(rows) - theirs(rows), blocks).p_below(0.0) <= 0.05
