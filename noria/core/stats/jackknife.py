"""How much of a figure is chance: each block of rows is left out once (the delete-a-group jackknife).

Rows of one day, or of one customer, resemble one another, so a thousand of them say less than a thousand alone. Blocks hold
such rows together. What a figure moves by when a block is left out is that block's evidence; the spread of this evidence
gives the standard error, and the number of blocks the degrees of freedom of Student's t (Busing, Meijer and van der Leeden,
"Delete-m jackknife for unequal m", Statistics and Computing, 1999). With 5 to 60 blocks this holds what it says, where a
bootstrap of so few blocks is too narrow.

Neighbouring days hang together. The correlation of each block's evidence with the next one's widens the interval and
takes degrees of freedom (the effective sample size of a series: Bayley and Hammersley, 1946; bias of the correlation in
a short series: Kendall, 1954).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from noria.core.stats import student_t

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LEVEL = 0.95
MOST_BLOCKS = 60
"""More blocks are merged with their neighbours: so many give nearly all degrees of freedom."""
FEWEST_BLOCKS = 3.0
"""Fewer blocks, counted as equally large ones, give no interval."""
_LEAST_CORRELATION = 0.05
"""Of neighbouring blocks in time: what a short series cannot show is assumed."""
_DRAWS = 4000
_ROUNDING = 1e-12
"""Errors below this share of the figure come from rounding: all blocks say the same."""
_MOST_CORRELATION = 0.8


@dataclass(frozen=True)
class MeasuredFigure:
    """A figure, its standard error and degrees of freedom; the last two are NaN where it cannot be known how sure it is."""

    value: float
    error: float = math.nan
    freedom: float = math.nan

    @property
    def is_measured(self) -> bool:
        """Whether it is known how sure the figure is."""
        return math.isfinite(self.value) and math.isfinite(self.error)

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """Interval that holds the truth with that confidence; NaN where that cannot be known."""
        if not self.is_measured:
            return math.nan, math.nan
        half = self.error * student_t.quantile((1 + level) / 2, self.freedom) if self.error else 0.0
        return self.value - half, self.value + half

    def p_below(self, bound: float) -> float:
        """One-sided p-value of "the truth is at most `bound`"; 1 where that cannot be known.

        Example:
            >>> round(MeasuredFigure(2.0, 1.0, 29).p_below(0.0), 3)
            0.027
        """
        if not self.is_measured:
            return 1.0
        if self.error == 0:
            return 0.0 if self.value > bound else 1.0
        return student_t.upper_tail((self.value - bound) / self.error, self.freedom)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Rows in blocks that are left out together.

    Attributes:
        number: block of each row, from 0; shape ``(rows,)``.
        in_time: whether neighbouring blocks follow each other in time.
        informative: rows that carry the evidence, such as those of the rarer class; shape ``(rows,)``. None takes all.
    """

    number: Ints
    in_time: bool
    informative: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, keys: npt.NDArray[np.generic], *, in_time: bool, informative: npt.NDArray[np.bool_] | None = None) -> Blocks:
        """Blocks of rows with the same key, merged with their neighbours to at most `MOST_BLOCKS`."""
        distinct, number = np.unique(keys, return_inverse=True)
        if len(distinct) > MOST_BLOCKS:
            number = number * MOST_BLOCKS // len(distinct)
        return cls(number.astype(np.int64), in_time, informative)

    @cached_property
    def count(self) -> int:
        """Number of blocks."""
        return len(np.unique(self.number))

    @cached_property
    def effective_count(self) -> float:
        """Equally large blocks that would say as much, by rows that carry evidence (Kish, 1965)."""
        counted = self.number if self.informative is None else self.number[self.informative]
        rows = np.bincount(counted).astype(np.float64)
        return float(rows.sum() ** 2 / np.sum(rows**2)) if rows.sum() else 0.0

    def take(self, rows: npt.NDArray[np.intp]) -> Blocks:
        """The blocks of some rows."""
        number = np.unique(self.number[rows], return_inverse=True)[1].astype(np.int64)
        return Blocks(number, self.in_time, None if self.informative is None else self.informative[rows])

    @cached_property
    def rows_left(self) -> tuple[Ints, ...]:
        """Positions of the rows that are left when a block is left out, one array for each block."""
        order = np.argsort(self.number, kind="stable")
        ends = np.cumsum(np.bincount(self.number))
        starts = np.concatenate([[0], ends[:-1]])
        return tuple(np.concatenate([order[:start], order[end:]]) for start, end in zip(starts, ends, strict=True))


def measure_figure(statistic: Callable[[Ints], float], blocks: Blocks) -> MeasuredFigure:
    """A statistic of the rows with its standard error.

    Args:
        statistic: takes row positions; `noria.core.metrics.resampling` has quick ones.
        blocks: of the rows.
    """
    everything = np.arange(len(blocks.number))
    value = statistic(everything)
    if blocks.count < 2 or blocks.effective_count < FEWEST_BLOCKS:
        return MeasuredFigure(value)
    return from_left_out(value, np.array([statistic(rows) for rows in blocks.rows_left]), blocks)


def measure_mean(values: Floats, blocks: Blocks) -> MeasuredFigure:
    """A mean, such as money per decision; the same as `measure_figure`, without passing over the rows again and again."""
    if not len(values):
        return MeasuredFigure(math.nan)
    value = float(np.mean(values))
    if blocks.count < 2 or blocks.effective_count < FEWEST_BLOCKS:
        return MeasuredFigure(value)
    rows, sums = np.bincount(blocks.number), np.bincount(blocks.number, weights=values)
    return from_left_out(value, (sums.sum() - sums) / (len(values) - rows), blocks)


def from_left_out(value: float, left_out: Floats, blocks: Blocks) -> MeasuredFigure:
    """A figure with its standard error, from its values with each block left out.

    A figure that is undefined without some block rests on that block alone: nobody can say how sure it is.

    Args:
        value: on all rows.
        left_out: without each block, shape ``(blocks,)``.
        blocks: of the rows.
    """
    if not (math.isfinite(value) and np.isfinite(left_out).all()) or blocks.effective_count < FEWEST_BLOCKS:
        return MeasuredFigure(value)
    evidence = _evidence(value, left_out, blocks)
    widening, freedom = _dependence(evidence, blocks)
    error = math.sqrt(float(np.mean(evidence**2)) * widening)
    return MeasuredFigure(value, error if error > _ROUNDING * abs(value) else 0.0, freedom)


def range_quantile(values: Floats, left_out: Floats, blocks: Blocks, *, level: float = LEVEL, seed: int = 0) -> float:
    """How far apart the largest and the smallest of several figures are by chance alone, at most, with that confidence.

    The range of figures that are all the same in truth, with the standard errors and correlations of these: draws of a
    multivariate t. It allows for the choice of the two that are farthest apart. NaN where it cannot be known.

    Args:
        values: the figures on all rows, shape ``(sets, figures)``; the range is the largest of any set.
        left_out: without each block, shape ``(blocks, sets, figures)``.
        blocks: of the rows.
        level: confidence.
        seed: of the draws.
    """
    if blocks.effective_count < FEWEST_BLOCKS or not (np.isfinite(values).all() and np.isfinite(left_out).all()):
        return math.nan
    flat = left_out.reshape(len(left_out), -1)
    columns = [_evidence(float(value), flat[:, place], blocks) for place, value in enumerate(values.ravel())]
    dependence = [_dependence(column, blocks) for column in columns]
    widening, freedom = float(np.mean([one for one, _ in dependence])), min(one for _, one in dependence)
    covariance = np.cov(np.array(columns), bias=True).reshape(len(columns), -1) * widening
    random = np.random.default_rng(seed)
    drawn = random.multivariate_normal(np.zeros(len(columns)), covariance, size=_DRAWS, check_valid="ignore")
    drawn /= np.sqrt(random.chisquare(freedom, (_DRAWS, 1)) / freedom)
    ranges = np.ptp(drawn.reshape(_DRAWS, *values.shape), axis=2).max(axis=1)
    return float(np.quantile(ranges, level))


def _evidence(value: float, left_out: Floats, blocks: Blocks) -> Floats:
    """What each block says, scaled so that the mean of its squares is the variance of the figure; shape ``(blocks,)``."""
    shares = np.bincount(blocks.number).astype(np.float64) / len(blocks.number)
    scale = 1 / shares
    estimate = len(left_out) * value - float(np.sum((1 - shares) * left_out))
    return np.asarray((scale * value - (scale - 1) * left_out - estimate) / np.sqrt(scale - 1), dtype=np.float64)


def _dependence(evidence: Floats, blocks: Blocks) -> tuple[float, float]:
    """Factor of the variance, and degrees of freedom, of blocks that hang together."""
    count, widening = len(evidence), 1.0
    if blocks.in_time:
        correlation = _neighbours(evidence)
        widening = (1 + correlation) / (1 - correlation)
    # blocks that resemble their neighbours differ less among themselves than from the blocks of another time
    seen = max(1 - (widening - 1) / (count - 1), 0.2)
    return widening / seen, max(min(count, blocks.effective_count) / widening - 1, 1.0)


def _neighbours(evidence: Floats) -> float:
    """Correlation of neighbouring blocks' evidence, corrected for the length of the series."""
    centred = evidence - evidence.mean()
    total = float(np.sum(centred**2))
    if total == 0:
        return 0.0
    found = float(np.sum(centred[1:] * centred[:-1])) / total
    return min(max(found + (1 + 3 * found) / len(evidence), _LEAST_CORRELATION), _MOST_CORRELATION)
