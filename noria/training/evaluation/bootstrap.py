"""Bootstrap intervals and paired differences that keep dependent rows together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Difference, Estimate
from noria.core.stats.bootstrap import (
    LEVEL,
    ROUNDS,
    ConfidenceInterval,
    bootstrap_interval,
    mean_interval,
    paired_difference,
)
from noria.core.use_case import Gate, Split, SplitBy
from noria.training.data.dataset import TrainingSet
from noria.training.data.sampling import even_positions
from noria.training.evaluation.scored_slice import Positions, RowGroups, ScoredSlice

MOST_ROWS = 50_000
"""More rows are replaced by an even sample of this size: intervals become a little too wide, never too narrow."""
NO_INTERVAL = frozenset({"calibration_error"})
"""Resampling adds noise that this metric counts as error, so its percentiles lie above the metric."""
FEWEST_DAYS = 10
"""With fewer days than this, rows are drawn instead of days: so few blocks do not show how blocks differ."""
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Resampler:
    """Draws bootstrap samples of rows, or of whole groups where rows of a group depend on each other.

    Attributes:
        drawn: what is drawn: `days`, `rows`, or the feature that names the group.
        groups: number of each row's group, shape ``(rows,)``; None if single rows are drawn.
        seed: of the draws.
        rounds: number of samples.
    """

    drawn: str
    groups: npt.NDArray[np.int64] | None
    seed: int
    rounds: int = ROUNDS

    def take(self, rows: Positions) -> Resampler:
        """The same draws restricted to these rows; draws single rows if they have fewer than `FEWEST_DAYS` groups."""
        if self.groups is None:
            return self
        groups = self.groups[rows]
        few = len(np.unique(groups)) < FEWEST_DAYS
        return Resampler(self.drawn, None if few else groups, self.seed, self.rounds)

    def interval(self, metric: str, outcome: ScoredSlice) -> Estimate | None:
        """A metric with its 95 % interval; None if the rows or resampling cannot give both."""
        if metric in NO_INTERVAL:
            return None
        if metric == "value":
            return _estimate(mean_interval(outcome.money, seed=self.seed, groups=self.groups, rounds=self.rounds))
        rows = even_positions(len(outcome), MOST_ROWS)
        part, groups = outcome.take(rows), self._groups_of(rows)
        interval = bootstrap_interval(part.statistic(metric), len(part), seed=self.seed, groups=groups, rounds=self.rounds)
        return _estimate(interval, outcome.metrics.get(metric))

    def difference(self, metric: str, candidate: ScoredSlice, reference: ScoredSlice) -> Difference | None:
        """Candidate less reference with its 95 % interval; None if the rows cannot give it."""
        rows = even_positions(len(candidate), MOST_ROWS)
        paired = paired_difference(
            metric,
            candidate.take(rows).statistic(metric),
            reference.take(rows).statistic(metric),
            len(rows),
            seed=self.seed,
            groups=self._groups_of(rows),
            rounds=self.rounds,
        )
        if not all(map(math.isfinite, (paired.difference, paired.low, paired.high))):
            return None
        return Difference(value=paired.difference, low=paired.low, high=paired.high, p_not_better=paired.p_not_better)

    def counts(self, cells: npt.NDArray[np.int64], kinds: int) -> npt.NDArray[np.int64]:
        """Rows of each kind in every sample; shape ``(rounds, kinds)``. Of more than `MOST_ROWS` rows, of an even sample.

        Args:
            cells: kind of each row, from 0; shape ``(rows,)``.
            kinds: number of kinds.
        """
        if self.groups is None:  # rows of a kind are exchangeable, so their counts are multinomial
            some = cells[even_positions(len(cells), MOST_ROWS)]
            shares = np.bincount(some, minlength=kinds) / max(len(some), 1)
            return np.random.default_rng(self.seed).multinomial(len(some), shares, size=self.rounds)
        return self.sums(np.ones(len(cells)), cells, kinds).astype(np.int64)

    def sums(self, values: npt.NDArray[np.float64], cells: npt.NDArray[np.int64], kinds: int) -> npt.NDArray[np.float64]:
        """Sum of a number over the rows of each kind in the same samples; shape ``(rounds, kinds)``.

        Args:
            values: one per row, shape ``(rows,)``.
            cells: kind of each row, from 0; shape ``(rows,)``.
            kinds: number of kinds.
        """
        rows = even_positions(len(cells), MOST_ROWS)
        values, cells, groups = values[rows], cells[rows], self._groups_of(rows)
        unit = np.arange(len(rows)) if groups is None else np.unique(groups, return_inverse=True)[1]
        units = int(unit.max(initial=-1)) + 1
        random, drawn = np.random.default_rng(self.seed), np.empty((self.rounds, kinds))
        for sample in drawn:
            times = np.bincount(random.integers(0, units, units), minlength=units)[unit]
            sample[:] = np.bincount(cells, weights=values * times, minlength=kinds)
        return drawn

    def _groups_of(self, rows: Positions) -> npt.NDArray[np.int64] | None:
        return None if self.groups is None else self.groups[rows]


def make_resampler(split: Split, gates: Sequence[Gate], rows: TrainingSet, seed: int) -> Resampler:
    """The resampler of a split: draws days where rows are split by time, groups where by group, single rows otherwise.

    Args:
        split: how rows were held back.
        gates: the strictest decides the number of samples.
        rows: the evaluated rows.
        seed: of the draws.
    """
    rounds = _rounds(gates)
    if split.by is SplitBy.GROUP and split.group is not None:
        groups = RowGroups.of(rows.columns[split.group]).number
        return Resampler(split.group, groups.astype(np.int64), seed, rounds)
    days = rows.times // _DAY
    if split.by is SplitBy.TIME and len(np.unique(days)) >= FEWEST_DAYS:
        return Resampler("days", days, seed, rounds)
    return Resampler("rows", None, seed, rounds)


def estimate_of(value: float, drawn: npt.NDArray[np.float64]) -> Estimate | None:
    """A figure with the 95 % percentile interval of its samples; None if more than 5 % of the samples are not finite.

    Args:
        value: the figure on all rows.
        drawn: the figure in every sample; shape ``(rounds,)``.
    """
    finite = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(finite) < max(2.0, LEVEL * len(drawn)):
        return None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _rounds(gates: Sequence[Gate]) -> int:
    """Enough samples for the strictest gate to be passed: the smallest share of samples is one in their number."""
    strictest = max((gate.confidence for gate in gates), default=0.0)
    return min(max(ROUNDS, math.ceil(5 / (1 - strictest))), 10 * ROUNDS)


def _estimate(interval: ConfidenceInterval, value: float | None = None) -> Estimate | None:
    """The interval, widened to hold the metric of all rows, which an even sample can miss by a little."""
    value = interval.value if value is None else value
    if not all(map(math.isfinite, (value, interval.low, interval.high))):
        return None
    return Estimate(value=value, low=min(interval.low, value), high=max(interval.high, value))
