"""Comparison of two samples within strata of time, so that an hour is only compared with itself.

The share of a challenger changes while a rollout goes on, and so does the traffic. Pooled, its rows are of other hours than
those of the champion, and every movement of the traffic looks like a difference of the versions (Simpson's paradox).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Strata = npt.NDArray[np.int64]
"""Number of each row's stratum, from 0; shape ``(rows,)``."""
LENGTHS = (1.0, 10.0, 60.0, 600.0, 3600.0, 86_400.0)
"""Lengths of a stratum that are tried, in seconds. The share of a challenger may change within a long one."""
ROWS_WANTED = 20
"""Mean rows of a stratum that is not empty: with fewer, many would hold one version alone and say nothing."""


def strata_of(times: Values) -> Strata:
    """Stratum of each row: the shortest of `LENGTHS` with enough rows. Only the times of requests decide.

    Args:
        times: of the requests of both versions, in seconds since an instant; shape ``(rows,)``.

    Example:
        >>> strata_of(np.repeat([0.2, 0.7, 1.1], 20)).tolist()[::20], strata_of(np.arange(0.0, 60.0)).tolist()[::20]
        ([0, 0, 1], [0, 0, 0])
    """
    for length in LENGTHS:
        found, numbers = np.unique(np.floor(times / length), return_inverse=True)
        if len(times) >= ROWS_WANTED * len(found):
            break
    return numbers.astype(np.int64)


@dataclass(frozen=True)
class MatchedWeights:
    """Weights that give two samples the same mix of strata.

    Attributes:
        one: of the first sample, shape ``(rows,)``; sums to 1, 0 where the other has no row of the stratum.
        other: of the second sample.
    """

    one: Values
    other: Values

    @property
    def rows(self) -> int:
        """Rows that count, of the smaller sample."""
        return int(min(np.count_nonzero(self.one), np.count_nonzero(self.other)))

    @property
    def effective_rows(self) -> tuple[float, float]:
        """Equally weighted rows that would say as much, of each sample (Kish, 1965)."""
        return 1 / float(np.sum(self.one**2)), 1 / float(np.sum(self.other**2))


def matched_weights(one: Strata, other: Strata) -> MatchedWeights | None:
    """Weight a stratum with n and m rows ``n m / (n + m)``: least variance where the difference is the same in all.

    Args:
        one: strata of the first sample.
        other: strata of the second sample.

    Returns:
        None where no stratum holds both.
    """
    size = int(max(one.max(initial=-1), other.max(initial=-1))) + 1
    ones, others = (np.bincount(side, minlength=size).astype(np.float64) for side in (one, other))
    together = ones + others
    weights = np.divide(ones * others, together, out=np.zeros(size), where=together > 0)
    total = float(weights.sum())
    if total == 0:
        return None
    sides = (np.divide(weights, rows * total, out=np.zeros(size), where=rows > 0) for rows in (ones, others))
    per_one, per_other = sides
    return MatchedWeights(per_one[one], per_other[other])


def without_means(values: Values, strata: Strata, counted: Values) -> Values:
    """Values less the mean of their stratum, which rows of weight 0 do not enter; shape ``(rows,)``.

    Residuals of a stratum with n rows are scaled by ``sqrt(n / (n - 1))``, since its mean was taken from them.
    """
    some = counted > 0
    size = int(strata.max(initial=-1)) + 1
    rows = np.bincount(strata[some], minlength=size)
    sums = np.bincount(strata[some], weights=values[some], minlength=size)
    means = np.divide(sums, rows, out=np.zeros(size), where=rows > 0)
    scale = np.sqrt(np.divide(rows, rows - 1, out=np.ones(size), where=rows > 1))
    return np.asarray((values - means[strata]) * scale[strata], dtype=np.float64)
