"""Intervals of group rates and their gaps, from the same blocks as every other figure.

The gap between the highest and the lowest of several rates grows by noise alone, more so with more groups. Its interval is
as wide as the range of that many equal groups is by chance (`noria.core.stats.jackknife.range_quantile`), so it holds
equality for equal groups as often as it says. Its ends may lie on the other side of equality (below 0; for a ratio above 1):
then the gap may be chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Estimate
from noria.core.model.decision import Decisions, Labels
from noria.core.stats.fairness import GroupComparison, GroupRates, MeanComparison
from noria.core.stats.jackknife import range_quantile
from noria.training.evaluation.uncertainty import Uncertainty

Floats = npt.NDArray[np.float64]
_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


@dataclass(frozen=True, eq=False)
class GroupIntervals:
    """Rates of the large groups, without each block of rows.

    Attributes:
        compared: the comparison on all rows.
        counts: rows that are left without each block; shape ``(blocks, large groups, 2, 2)``: by label, then by decision.
        uncertainty: of the rows.
    """

    compared: GroupComparison
    counts: npt.NDArray[np.int64]
    uncertainty: Uncertainty

    @classmethod
    def of(
        cls,
        compared: GroupComparison,
        labels: Labels,
        decisions: Decisions,
        groups: npt.NDArray[np.str_],
        uncertainty: Uncertainty,
    ) -> GroupIntervals:
        """Count the rows that are left.

        Args:
            compared: the comparison on all rows.
            labels: flags; shape ``(rows,)``.
            decisions: flags; shape ``(rows,)``.
            groups: the group of each row, as `compared` names it; shape ``(rows,)``.
            uncertainty: of the rows.
        """
        large = _large(compared)
        number = _numbers(groups, [part.group for part in large])
        cells = np.where(number >= 0, 4 * number + 2 * labels + decisions, 4 * len(large))
        left = uncertainty.counts_left(cells, 4 * len(large) + 1)
        return cls(compared, left[:, :-1].reshape(len(left), len(large), 2, 2), uncertainty)

    def rates(self, group: str) -> dict[str, Estimate]:
        """Intervals of one group's rates, by name; rates that it has too few rows for are left out."""
        large = _large(self.compared)
        number = next((index for index, part in enumerate(large) if part.group == group), None)
        if number is None:
            return {}
        estimates = {
            rate: self.uncertainty.estimate_of(getattr(large[number], rate), self._left_out[rate][:, number])
            for rate in _RATES
        }
        return {rate: estimate for rate, estimate in estimates.items() if estimate is not None}

    def gaps(self) -> dict[str, Estimate]:
        """Intervals of the figures that gates use, by name."""
        estimates = {
            "demographic_parity": self._gap(("selection_rate",)),
            "disparate_impact": self._ratio(),
            "equalised_odds": self._gap(("true_positive_rate", "false_positive_rate")),
        }
        measured = self.compared.metrics
        return {name: estimate for name, estimate in estimates.items() if estimate is not None and name in measured}

    @cached_property
    def _left_out(self) -> dict[str, Floats]:
        """Rates without each block; shape ``(blocks, large groups)`` each, NaN where no such row is left."""
        yes, rows = self.counts[..., 1], self.counts.sum(axis=3)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = yes / rows
            selection = yes.sum(axis=2) / rows.sum(axis=2)
        return dict(zip(_RATES, (selection, rates[:, :, 1], rates[:, :, 0]), strict=True))

    def _gap(self, rates: Sequence[str]) -> Estimate | None:
        """The widest gap of any of the rates."""
        large = _large(self.compared)
        values = np.array([[getattr(part, rate) for part in large] for rate in rates], dtype=np.float64)
        if len(large) < 2 or not np.isfinite(values).all():
            return None
        left_out = np.stack([self._left_out[rate] for rate in rates], axis=1)
        chance = range_quantile(values, left_out, self.uncertainty.blocks)
        gap = float(np.ptp(values, axis=1).max())
        return Estimate(value=gap, low=gap - chance, high=gap + chance) if np.isfinite(chance) else None

    def _ratio(self) -> Estimate | None:
        """The lowest selection rate over the highest."""
        gap, highest = (
            self._gap(("selection_rate",)),
            max((part.selection_rate for part in _large(self.compared)), default=0.0),
        )
        if gap is None or highest <= 0:
            return None
        low, value, high = (1 - figure / highest for figure in (gap.high, gap.value, gap.low))
        return Estimate(value=value, low=low, high=high)


def mean_intervals(
    values: Floats, groups: npt.NDArray[np.str_], compared: MeanComparison, uncertainty: Uncertainty
) -> dict[str, Estimate]:
    """Intervals of the mean of a number, by large group.

    Args:
        values: one per row, shape ``(rows,)``.
        groups: the group of each row; shape ``(rows,)``.
        compared: the comparison on all rows.
        uncertainty: of the rows.
    """
    large = {part.group: part.mean for part in compared.groups if part.judged}
    number = _numbers(groups, list(large))
    cells = np.where(number >= 0, number, len(large))
    sums, rows = uncertainty.sums_left(values, cells, len(large) + 1), uncertainty.counts_left(cells, len(large) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / rows
    estimates = {group: uncertainty.estimate_of(mean, means[:, index]) for index, (group, mean) in enumerate(large.items())}
    return {group: estimate for group, estimate in estimates.items() if estimate is not None}


def _large(compared: GroupComparison) -> list[GroupRates]:
    return [part for part in compared.groups if part.judged]


def _numbers(groups: npt.NDArray[np.str_], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index of each row's group among `names`, -1 if it is not one of them; shape ``(rows,)``."""
    distinct, number = np.unique(groups, return_inverse=True)
    index = {name: position for position, name in enumerate(names)}
    return np.array([index.get(str(name), -1) for name in distinct], dtype=np.int64)[number]
