"""How sure the figures are: intervals and paired differences that respect which rows resemble one another."""

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
from noria.core.use_case import Gate, SplitBy, UseCase
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.scored_slice import Positions, RowGroups, ScoredSlice, evenly

MOST_ROWS = 50_000
"""Of more rows than this an even sample is drawn from: its intervals are a little too wide, never too narrow."""
NO_INTERVAL = frozenset({"calibration_error"})
"""Resampling adds noise that this metric counts as error, so that its percentiles lie above what they are an interval of."""
FEWEST_DAYS = 10
"""On fewer days than this, rows are drawn instead of days: so few blocks say little about how blocks differ."""
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Resampler:
    """Draws rows anew, whole groups of them where rows of a group resemble one another.

    Attributes:
        drawn: what is drawn: `days`, `rows`, or the feature that groups rows.
        groups: number of each row's group; None where single rows are drawn.
        seed: of the draws.
        rounds: how many samples are drawn.
    """

    drawn: str
    groups: npt.NDArray[np.int64] | None
    seed: int
    rounds: int = ROUNDS

    def take(self, rows: Positions) -> Resampler:
        """The same draws over these rows alone; their days become too few sooner than those of all rows."""
        if self.groups is None:
            return self
        groups = self.groups[rows]
        few = len(np.unique(groups)) < FEWEST_DAYS
        return Resampler(self.drawn, None if few else groups, self.seed, self.rounds)

    def interval(self, metric: str, outcome: ScoredSlice) -> Estimate | None:
        """A metric with its interval; None where the rows cannot give both, or resampling cannot."""
        if metric in NO_INTERVAL:
            return None
        if metric == "value":
            return _estimate(mean_interval(outcome.money, seed=self.seed, groups=self.groups, rounds=self.rounds))
        rows = evenly(len(outcome), MOST_ROWS)
        part, groups = outcome.take(rows), self._groups_of(rows)
        found = bootstrap_interval(part.statistic(metric), len(part), seed=self.seed, groups=groups, rounds=self.rounds)
        return _estimate(found, outcome.metrics.get(metric))

    def difference(self, metric: str, candidate: ScoredSlice, rival: ScoredSlice) -> Difference | None:
        """Candidate less rival with its interval; None where the rows cannot give it."""
        rows = evenly(len(candidate), MOST_ROWS)
        found = paired_difference(
            metric,
            candidate.take(rows).statistic(metric),
            rival.take(rows).statistic(metric),
            len(rows),
            seed=self.seed,
            groups=self._groups_of(rows),
            rounds=self.rounds,
        )
        if not all(map(math.isfinite, (found.difference, found.low, found.high))):
            return None
        return Difference(value=found.difference, low=found.low, high=found.high, p_not_better=found.p_not_better)

    def counts(self, cells: npt.NDArray[np.int64], kinds: int) -> npt.NDArray[np.int64]:
        """How many rows of each kind the samples have; shape ``(rounds, kinds)``. Of very many rows, of an even sample.

        Args:
            cells: kind of each row, from 0; shape ``(rows,)``.
            kinds: how many there are.
        """
        if self.groups is None:  # rows of a kind are alike, so that how often each kind is drawn says everything
            some = cells[evenly(len(cells), MOST_ROWS)]
            shares = np.bincount(some, minlength=kinds) / max(len(some), 1)
            return np.random.default_rng(self.seed).multinomial(len(some), shares, size=self.rounds)
        return self.sums(np.ones(len(cells)), cells, kinds).astype(np.int64)

    def sums(self, values: npt.NDArray[np.float64], cells: npt.NDArray[np.int64], kinds: int) -> npt.NDArray[np.float64]:
        """What a number adds up to over the rows of each kind in the same samples; shape ``(rounds, kinds)``.

        Args:
            values: one per row, shape ``(rows,)``.
            cells: kind of each row, from 0.
            kinds: how many there are.
        """
        rows = evenly(len(cells), MOST_ROWS)
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


def chance_of(use_case: UseCase, rows: TrainingSet, seed: int) -> Resampler:
    """How rows of a use case are drawn anew: by day where they are held back by time, by group where by group."""
    split = use_case.training.split
    rounds = _rounds(use_case.gates)
    if split.by is SplitBy.GROUP and split.group is not None:
        groups = RowGroups.of(rows.columns[split.group]).number
        return Resampler(split.group, groups.astype(np.int64), seed, rounds)
    days = rows.times // _DAY
    if split.by is SplitBy.TIME and len(np.unique(days)) >= FEWEST_DAYS:
        return Resampler("days", days, seed, rounds)
    return Resampler("rows", None, seed, rounds)


def estimate_of(value: float, drawn: npt.NDArray[np.float64]) -> Estimate | None:
    """A figure with the percentiles of what it was in the samples; None where more than a few samples could not tell."""
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(known) < max(2.0, LEVEL * len(drawn)):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _rounds(gates: Sequence[Gate]) -> int:
    """Enough draws that the strictest gate can be passed: a share of samples cannot be below one in their number."""
    strictest = max((gate.confidence for gate in gates), default=0.0)
    return min(max(ROUNDS, math.ceil(5 / (1 - strictest))), 10 * ROUNDS)


def _estimate(found: ConfidenceInterval, value: float | None = None) -> Estimate | None:
    """The interval around the metric of all rows, which a sample of them can miss by a little."""
    value = found.value if value is None else value
    if not all(map(math.isfinite, (value, found.low, found.high))):
        return None
    return Estimate(value=value, low=min(found.low, value), high=max(found.high, value))
