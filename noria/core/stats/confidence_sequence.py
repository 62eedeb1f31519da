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
import numpy.typing as npt

Values = npt.NDArray[np.float64]


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


def mean_difference(one: Values, other: Values, *, alpha: float, least: int, best_at: int = 1000) -> AnytimeInterval | None:
    """Mean of `other` less mean of `one`, two independent samples.

    Args:
        one: shape ``(rows,)``, in the order of arrival.
        other: shape ``(other rows,)``.
        alpha: probability that the truth ever leaves the interval.
        least: fewest rows of each sample; below it None is returned. Skewed values (a rare large loss) need more.
        best_at: rows of each sample at which the interval is narrowest; any other number is as valid.
    """
    if min(len(one), len(other)) < max(least, 2):
        return None
    of_one, of_other = float(one.var(ddof=1)), float(other.var(ddof=1))
    # of the rows together, so that information counts rows for any shares
    spread = (of_one * len(one) + of_other * len(other)) / (len(one) + len(other))
    # a small sample that has missed a rare large amount so far looks surer than it is: the common spread is the least
    variance = max(of_one, spread) / len(one) + max(of_other, spread) / len(other)
    sample = _Sample(float(other.mean() - one.mean()), variance, spread, min(len(one), len(other)))
    return sample.interval(alpha, best_at / 2)


def paired_mean(differences: Values, *, alpha: float, least: int, best_at: int = 1000) -> AnytimeInterval | None:
    """Mean of differences that were taken on the same rows.

    Args:
        differences: shape ``(rows,)``.
        alpha: probability that the truth ever leaves the interval.
        least: fewest rows; below it None is returned.
        best_at: rows at which the interval is narrowest.
    """
    if len(differences) < max(least, 2):
        return None
    spread = float(differences.var(ddof=1))
    sample = _Sample(float(differences.mean()), spread / len(differences), spread, len(differences))
    return sample.interval(alpha, best_at)


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
