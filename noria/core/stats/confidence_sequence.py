"""Comparing two means again and again while rows arrive, without fooling oneself by looking often.

A confidence sequence is an interval for every instant such that, with the stated confidence, all of them together hold the
truth; so one may look after every row and stop whenever one likes. This is Robbins' normal mixture (H. Robbins,
"Statistical methods related to the law of the iterated logarithm", 1970), with the boundary as in S. Howard, A. Ramdas,
J. McAuliffe and J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of Statistics, 2021),
section 3.2, and with estimated variances as in I. Waudby-Smith and others, "Time-uniform central limit theory and asymptotic
confidence sequences" (2024): it holds for any distribution with a variance once some rows are there, hence `least` below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from noria.core.stats.strata import Strata, Values, matched_weights, without_means


@dataclass(frozen=True)
class AnytimeInterval:
    """A difference of means, and between which bounds it lies, whenever one looks.

    Attributes:
        rows: of the smaller sample.
    """

    difference: float
    low: float
    high: float
    rows: int

    @property
    def is_below(self) -> bool:
        """Whether it is surely negative."""
        return self.high < 0

    @property
    def is_above(self) -> bool:
        """Whether it is surely positive."""
        return self.low > 0


def mean_difference(
    one: Values,
    other: Values,
    *,
    alpha: float,
    least: int,
    best_at: int = 1000,
    strata: tuple[Strata, Strata] | None = None,
) -> AnytimeInterval | None:
    """Mean of `other` less mean of `one`, two independent samples, within strata.

    Args:
        one: shape ``(rows,)``.
        other: shape ``(other rows,)``.
        alpha: probability that the truth ever leaves the interval.
        least: fewest rows of each sample, weighted as they count; below it None is returned. Skewed values (a rare large
            loss) need more.
        best_at: rows of each sample at which the interval is narrowest; any other number is as valid.
        strata: of the rows of each sample; None puts all in one.
    """
    if min(len(one), len(other)) < max(least, 2):
        return None
    places = strata or (np.zeros(len(one), dtype=np.int64), np.zeros(len(other), dtype=np.int64))
    weights = matched_weights(*places)
    if weights is None or min(weights.effective_rows) < least * 0.999:
        return None
    both = np.concatenate([one, other]) - one[0]  # so that equal amounts have a difference of exactly 0
    left = without_means(both, np.concatenate(places), np.concatenate([weights.one, weights.other]))
    sides = (left[: len(one)], weights.one), (left[len(one) :], weights.other)
    of_one, of_other = (_variance(values, counted) for values, counted in sides)
    rows, other_rows = weights.effective_rows
    # of the rows together, so that information counts rows for any shares
    spread = (of_one * rows + of_other * other_rows) / (rows + other_rows)
    # a small sample that has missed a rare large amount so far looks surer than it is: the common spread is the least
    variance = max(of_one, spread) / rows + max(of_other, spread) / other_rows
    difference = float(np.sum(weights.other * both[len(one) :]) - np.sum(weights.one * both[: len(one)]))
    return _Sample(difference, variance, spread, weights.rows).interval(alpha, best_at / 2)


def _variance(values: Values, weights: Values) -> float:
    """Weighted variance of one row, around the weighted mean."""
    mean = float(np.sum(weights * values))
    rows = int(np.count_nonzero(weights))
    return float(np.sum(weights * (values - mean) ** 2)) * rows / max(rows - 1, 1)


@dataclass(frozen=True)
class _Sample:
    """A mean, the variance of that mean, and the variance of a row."""

    mean: float
    variance: float
    spread: float
    rows: int

    def interval(self, alpha: float, best_at: float) -> AnytimeInterval:
        """The normal mixture's interval.

        With information ``t = spread / variance`` (rows, where there is one sample) and a mixture of variance
        ``spread * r`` over the mean: ``mean ± sqrt(spread * (t r + 1) / (t² r) * (log(t r + 1) + 2 log(1 / alpha)))``.
        """
        if self.variance == 0:  # all equal: nothing varies, so nothing is uncertain
            return AnytimeInterval(self.mean, self.mean, self.mean, self.rows)
        mixture, time = _mixture(alpha) / best_at, self.spread / self.variance
        widening = math.log(time * mixture + 1) + 2 * math.log(1 / alpha)
        half = math.sqrt(self.spread * (time * mixture + 1) / (time**2 * mixture) * widening)
        return AnytimeInterval(self.mean, self.mean - half, self.mean + half, self.rows)


def _mixture(alpha: float) -> float:
    """The product of information and mixture at which the interval is narrowest, nearly.

    ``2 log(1/alpha) + log(1 + 2 log(1/alpha))`` (Waudby-Smith and others, appendix on tuning).
    """
    twice = 2 * math.log(1 / alpha)
    return twice + math.log1p(twice)


def share_of_alpha(rank: int) -> float:
    """Which part of an error budget the hypothesis of a rank may spend; all parts together are one.

    ``6 / (pi² k²)`` for the k-th: hypotheses may be added without end, as new values of a segment turn up.

    Args:
        rank: 1 for the first.
    """
    return 6 / (math.pi**2 * rank**2)


def chance_of_as_many(events: int, trials: int, probability: float) -> float:
    """Probability of `events` or more in `trials` that each happen with `probability`: the exact upper tail of the binomial.

    Below some level, "at most `probability`" is refuted (Clopper and Pearson, 1934).
    """
    if events <= 0:
        return 1.0
    if events > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    log_yes, log_no = math.log(probability), math.log1p(-probability)
    total = 0.0
    for k in range(events, trials + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        term = math.exp(ways + k * log_yes + (trials - k) * log_no)
        total += term
        if k > trials * probability and term < 1e-12 * total:  # from here on they only shrink
            break
    return min(total, 1.0)
