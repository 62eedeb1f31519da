"""How much of a number is chance: intervals and comparisons by resampling rows (Efron & Tibshirani, "An Introduction to the
Bootstrap", 1993).

Rows of one day, or of one customer, resemble one another, so that a thousand of them say less than a thousand alone. With
`groups`, whole groups are drawn instead of rows: the cluster bootstrap (Field & Welsh, "Bootstrapping clustered data",
2007), which for days is a block bootstrap with blocks of one day (Künsch, "The jackknife and the bootstrap for general
stationary observations", 1989). It needs groups enough: with fewer than about 20 the intervals are too narrow.

Everything is determined by `seed`. An undefined figure is NaN in an interval, and counts against the candidate in a
comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.metrics.direction import goodness

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64] | npt.NDArray[np.str_] | Sequence[str]
ROUNDS = 200
LEVEL = 0.95
_FEW = 64
"""Up to so many distinct values, how often each is drawn says everything and is quicker than drawing rows."""


@dataclass(frozen=True)
class ConfidenceInterval:
    """A number and where it may lie: it would fall between `low` and `high` in `level` of all samples like this one.

    All three are NaN where the rows cannot give the number; the bounds alone where they cannot say how sure it is.
    """

    value: float
    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class PairedDifference:
    """A candidate against a rival on the same rows.

    Attributes:
        candidate: the metric of the candidate on all rows.
        rival: the metric of the rival on all rows.
        difference: candidate less rival, in the metric's own unit; of `bias`, the difference of the absolute values.
        low: lower bound of the difference.
        high: upper bound of the difference.
        level: how sure the bounds are, together.
        p_not_better: how likely it is that the candidate is not better by the margin asked for, in the metric's own sense of
            better; at most ``1 - confidence`` to be sure. 1 if it is undefined.
    """

    candidate: float
    rival: float
    difference: float
    low: float
    high: float
    level: float
    p_not_better: float


def bootstrap_interval(
    statistic: Callable[[Ints], float],
    rows: int,
    *,
    seed: int,
    groups: Groups | None = None,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> ConfidenceInterval:
    """Percentile interval of any statistic that resampling does not itself make worse.

    `calibration_error` is one that it does: it counts the noise of drawing as error, so its percentiles lie too high.

    Args:
        statistic: takes row numbers, repeats included; `noria.core.metrics.resampling` has quick ones.
        rows: how many rows there are.
        seed: of the draws.
        groups: the group of each row, where whole groups are to be drawn.
        rounds: how many samples are drawn.
        level: share of samples between the bounds.
    """
    value = statistic(np.arange(rows))
    found = np.array([statistic(drawn) for drawn in _draws(rows, groups, rounds, seed)])
    low, high = _bounds(found, level)
    return ConfidenceInterval(value, low, high, level)


def mean_interval(
    values: Floats, *, seed: int, groups: Groups | None = None, rounds: int = ROUNDS, level: float = LEVEL
) -> ConfidenceInterval:
    """Percentile interval of a mean, such as money per decision; the same as `bootstrap_interval`, quicker.

    Args:
        values: one per row, shape ``(rows,)``.
        seed: of the draws.
        groups: the group of each row, where whole groups are to be drawn.
        rounds: how many samples are drawn.
        level: share of samples between the bounds.
    """
    if not len(values):
        return ConfidenceInterval(math.nan, math.nan, math.nan, level)
    random = np.random.default_rng(seed)
    means = _means_of_rows(values, rounds, random) if groups is None else _means_of_groups(values, groups, rounds, random)
    low, high = _bounds(means, level)
    return ConfidenceInterval(float(np.mean(values)), low, high, level)


def paired_difference(
    metric: str,
    candidate: Callable[[Ints], float],
    rival: Callable[[Ints], float],
    rows: int,
    *,
    seed: int,
    groups: Groups | None = None,
    margin: float = 0.0,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> PairedDifference:
    """Hold two models against each other on the same draws, so that what is hard for both cancels out.

    Args:
        metric: its name, which says which way is up.
        candidate: the metric of the candidate on drawn rows; `noria.core.metrics.resampling` has quick ones.
        rival: the metric of the rival on drawn rows.
        rows: how many rows there are.
        seed: of the draws.
        groups: the group of each row, where whole groups are to be drawn.
        margin: what the candidate may be worse by and still count as better, in the metric's unit (not worse than); below 0,
            what it must be better by.
        rounds: how many samples are drawn; `p_not_better` cannot be below ``1 / (rounds + 1)``.
        level: share of samples between the bounds.
    """
    everything = np.arange(rows)
    ours, theirs = candidate(everything), rival(everything)
    pairs = [(candidate(drawn), rival(drawn)) for drawn in _draws(rows, groups, rounds, seed)]
    gains = np.array([goodness(metric, one) - goodness(metric, other) for one, other in pairs])
    sign = goodness(metric, 1.0)  # -1 where less is better: the difference is the gain turned round
    gain = goodness(metric, ours) - goodness(metric, theirs)
    low, high = _bounds(sign * gains + 0.0, level)  # + 0.0 makes -0.0 a plain 0
    p = _p_not_better(gain, gains, margin, units=rows if groups is None else _count(groups))
    return PairedDifference(ours, theirs, sign * gain + 0.0, low, high, level, p)


def _p_not_better(gain: float, gains: Floats, margin: float, *, units: int) -> float:
    """Share of samples in which the candidate is not better by more than the margin allows; a NaN is not better.

    Counted with one sample added, so that it is never 0 (Davison & Hinkley, "Bootstrap Methods and their Application",
    1997, 4.2.3), and not below ``0.5 ** units``: that often, so few groups all agree by chance, which drawing from them
    cannot show.
    """
    if math.isnan(gain):
        return 1.0
    not_better = int(np.sum(~(gains > -margin)))
    return max((1 + not_better) / (1 + len(gains)), 0.5**units)


def _bounds(found: Floats, level: float) -> tuple[float, float]:
    """The percentiles that leave `level` between them; NaN where more than a few samples could not tell."""
    known = found[~np.isnan(found)]
    if len(known) < max(2, level * len(found)):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _draws(rows: int, groups: Groups | None, rounds: int, seed: int) -> Iterator[Ints]:
    """As many samples as rounds, of all rows or all groups, with replacement; none if there is only one to draw."""
    random = np.random.default_rng(seed)
    if groups is not None:
        yield from _group_draws(groups, rounds, random)
    elif rows > 1:
        for _ in range(rounds):
            yield random.integers(0, rows, rows)


def _group_draws(groups: Groups, rounds: int, random: np.random.Generator) -> Iterator[Ints]:
    number = np.unique(groups, return_inverse=True)[1]
    sizes, by_group = np.bincount(number), np.argsort(number, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for _ in range(rounds if len(sizes) > 1 else 0):
        drawn = random.integers(0, len(sizes), len(sizes))
        lengths = sizes[drawn]
        shift = np.repeat(starts[drawn] - (np.cumsum(lengths) - lengths), lengths)
        yield by_group[shift + np.arange(len(shift))]


def _means_of_rows(values: Floats, rounds: int, random: np.random.Generator) -> Floats:
    rows = len(values)
    if rows < 2:
        return np.empty(0)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW:
        return random.multinomial(rows, counts / rows, size=rounds) @ distinct / rows
    return np.array([values[random.integers(0, rows, rows)].mean() for _ in range(rounds)])


def _means_of_groups(values: Floats, groups: Groups, rounds: int, random: np.random.Generator) -> Floats:
    number = np.unique(groups, return_inverse=True)[1]
    sizes, sums = np.bincount(number), np.bincount(number, weights=values)
    if len(sizes) < 2:
        return np.empty(0)
    drawn = random.integers(0, len(sizes), (rounds, len(sizes)))
    means: Floats = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means


def _count(groups: Groups) -> int:
    return len(np.unique(groups))
