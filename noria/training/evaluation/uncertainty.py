"""How sure a figure of the evaluation is: standard errors that keep dependent rows together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Difference, Estimate
from noria.core.metrics.direction import goodness
from noria.core.model.decision import Labels
from noria.core.stats.jackknife import MOST_BLOCKS, Blocks, MeasuredFigure, from_left_out, measure_figure, measure_mean
from noria.core.use_case import Split, SplitBy, Task
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.scored_slice import Positions, RowGroups, ScoredSlice

NO_INTERVAL = frozenset({"calibration_error"})
"""The noise of few rows counts as error in it, so its distance from the truth is no chance around it."""
_DAY = 86_400_000_000
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors of figures, from rows that are left out in blocks.

    Attributes:
        unit: what a block is made of: `days`, `rows`, or the feature that names the group.
        blocks: of the evaluated rows.
    """

    unit: str
    blocks: Blocks

    def take(self, rows: Positions) -> Uncertainty:
        """The same for some of the rows."""
        return Uncertainty(self.unit, self.blocks.take(rows))

    def interval(self, metric: str, outcome: ScoredSlice) -> Estimate | None:
        """A metric with its 95 % interval; None if the rows cannot give both."""
        if metric in NO_INTERVAL:
            return None
        return estimate(measure_figure(outcome.statistic(metric), self.blocks))

    def mean(self, values: Floats) -> Estimate | None:
        """Mean of a number that each row has, with its 95 % interval; values have shape ``(rows,)``."""
        return estimate(measure_mean(values, self.blocks))

    def difference(self, metric: str, candidate: ScoredSlice, reference: ScoredSlice) -> Difference | None:
        """Candidate less reference with its 95 % interval; None if the rows cannot give it."""
        ours, theirs = candidate.statistic(metric), reference.statistic(metric)
        gain = measure_figure(lambda rows: goodness(metric, ours(rows)) - goodness(metric, theirs(rows)), self.blocks)
        if not gain.is_measured:
            return None
        sign = goodness(metric, 1.0)  # -1 where less is better: the difference is the gain turned round
        shown = MeasuredFigure(sign * gain.value + 0.0, gain.error, gain.freedom)
        low, high = shown.bounds()
        return Difference(
            value=shown.value,
            low=low,
            high=high,
            p_not_better=gain.p_below(0.0),
            error=gain.error,
            freedom=gain.freedom,
        )

    def counts_left(self, cells: Ints, kinds: int) -> Ints:
        """Rows of each kind that are left without each block; shape ``(blocks, kinds)``.

        Args:
            cells: kind of each row, from 0; shape ``(rows,)``.
            kinds: number of kinds.
        """
        return np.rint(self.sums_left(np.ones(len(cells)), cells, kinds)).astype(np.int64)

    def sums_left(self, values: Floats, cells: Ints, kinds: int) -> Floats:
        """Sum of a number over the rows of each kind that are left without each block; shape ``(blocks, kinds)``.

        Args:
            values: one per row, shape ``(rows,)``.
            cells: kind of each row, from 0; shape ``(rows,)``.
            kinds: number of kinds.
        """
        places = self.blocks.number * kinds + cells
        parts = np.bincount(places, weights=values, minlength=self.blocks.count * kinds).reshape(-1, kinds)
        return np.asarray(parts.sum(axis=0) - parts, dtype=np.float64)

    def estimate_of(self, value: float, left_out: Floats) -> Estimate | None:
        """A figure with its 95 % interval; None if it is undefined without some block.

        Args:
            value: on all rows.
            left_out: without each block, shape ``(blocks,)``.
        """
        return estimate(from_left_out(value, left_out, self.blocks))


def uncertainty_of(split: Split, task: Task, rows: TrainingSet, seed: int) -> Uncertainty:
    """Blocks as the split holds rows back: days where it is by time, groups where by group, else rows drawn at random.

    Args:
        split: how rows were held back.
        task: classes rest on the rows of the rarer ones.
        rows: the evaluated rows.
        seed: of what is drawn.
    """
    informative = None if task.is_regression else _rarer(rows.labels)
    random = np.random.default_rng(seed)
    if split.by is SplitBy.GROUP and split.group is not None:
        groups = RowGroups.of(rows.columns[split.group])
        order = random.permutation(len(groups.names))[groups.number]  # neighbours in the alphabet are merged by chance
        return Uncertainty(split.group, Blocks.of(order, in_time=False, informative=informative))
    if split.by is SplitBy.TIME:
        return Uncertainty("days", Blocks.of(rows.times // _DAY, in_time=True, informative=informative))
    places = random.permutation(len(rows)) % MOST_BLOCKS
    return Uncertainty("rows", Blocks.of(places, in_time=False, informative=informative))


def estimate(figure: MeasuredFigure) -> Estimate | None:
    """The figure with its 95 % interval; None where it is not known how sure it is."""
    low, high = figure.bounds()
    if not (figure.is_measured and math.isfinite(low) and math.isfinite(high)):
        return None
    return Estimate(value=figure.value, low=low, high=high, error=figure.error, freedom=figure.freedom)


def _rarer(labels: Labels) -> npt.NDArray[np.bool_]:
    """Rows that are not of the commonest class."""
    classes, counts = np.unique(labels, return_counts=True)
    return np.asarray(labels != classes[np.argmax(counts)], dtype=np.bool_)
