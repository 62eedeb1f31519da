"""Bootstrap intervals of group rates and their gaps, from the same samples as every other figure.

The gap between the highest and the lowest of several rates grows by noise alone: resampled as it stands it would be biased
upwards, more so with more groups. So an interval is that of the two groups that are farthest apart on all rows. Its ends may
lie on the other side of equality (below 0; for a ratio above 1): then the gap may be chance. The interval does not account
for the choice of the two groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Estimate
from noria.core.model.decision import Decisions, Labels
from noria.core.stats.fairness import GroupComparison, GroupRates, MeanComparison
from noria.training.evaluation.bootstrap import Resampler, estimate_of

Floats = npt.NDArray[np.float64]
_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


@dataclass(frozen=True, eq=False)
class DrawnGroups:
    """Rates of the large groups, in every bootstrap sample.

    Attributes:
        compared: the comparison on all rows.
        counts: rows of every sample; shape ``(rounds, large groups, 2, 2)``: by label, then by decision.
    """

    compared: GroupComparison
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        compared: GroupComparison,
        labels: Labels,
        decisions: Decisions,
        groups: npt.NDArray[np.str_],
        resampler: Resampler,
    ) -> DrawnGroups:
        """Draw the samples.

        Args:
            compared: the comparison on all rows.
            labels: flags; shape ``(rows,)``.
            decisions: flags; shape ``(rows,)``.
            groups: the group of each row, as `compared` names it; shape ``(rows,)``.
            resampler: draws the rows.
        """
        large = _large(compared)
        number = _numbers(groups, [part.group for part in large])
        cells = np.where(number >= 0, 4 * number + 2 * labels + decisions, 4 * len(large))
        drawn = resampler.counts(cells, 4 * len(large) + 1)
        return cls(compared, drawn[:, :-1].reshape(len(drawn), len(large), 2, 2))

    def rates(self, group: str) -> dict[str, Estimate]:
        """Intervals of one group's rates, by name; rates that it has too few rows for are left out."""
        large = _large(self.compared)
        number = next((index for index, part in enumerate(large) if part.group == group), None)
        if number is None:
            return {}
        estimates = {rate: estimate_of(getattr(large[number], rate), self._drawn[rate][:, number]) for rate in _RATES}
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
    def _drawn(self) -> dict[str, Floats]:
        """Rates in every sample; shape ``(rounds, large groups)`` each, NaN where a sample has no such row."""
        yes, rows = self.counts[..., 1], self.counts.sum(axis=3)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = yes / rows
            selection = yes.sum(axis=2) / rows.sum(axis=2)
        return dict(zip(_RATES, (selection, rates[:, :, 1], rates[:, :, 0]), strict=True))

    def _gap(self, rates: Sequence[str]) -> Estimate | None:
        """The widest gap of any of the rates."""
        gaps = [(high - low, rate, first, last) for rate in rates for first, low, last, high in self._ends(rate)]
        if not gaps:
            return None
        gap, rate, lowest, highest = max(gaps, key=lambda one: one[0])
        return estimate_of(gap, self._drawn[rate][:, highest] - self._drawn[rate][:, lowest])

    def _ratio(self) -> Estimate | None:
        """The lowest selection rate over the highest."""
        for lowest, low, highest, high in self._ends("selection_rate"):
            drawn = self._drawn["selection_rate"]
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = drawn[:, lowest] / drawn[:, highest]
            return estimate_of(low / high, ratios) if high > 0 else None
        return None

    def _ends(self, rate: str) -> Iterator[tuple[int, float, int, float]]:
        """Lowest group and its rate, highest group and its rate; nothing if fewer than two groups have the rate."""
        rates = [(getattr(part, rate), index) for index, part in enumerate(_large(self.compared))]
        rates = [(number, index) for number, index in rates if not np.isnan(number)]
        if len(rates) > 1:
            (low, lowest), (high, highest) = min(rates), max(rates)
            yield lowest, low, highest, high


def drawn_means(
    values: Floats, groups: npt.NDArray[np.str_], compared: MeanComparison, resampler: Resampler
) -> dict[str, Estimate]:
    """Intervals of the mean of a number, by large group.

    Args:
        values: one per row, shape ``(rows,)``.
        groups: the group of each row; shape ``(rows,)``.
        compared: the comparison on all rows.
        resampler: draws the rows.
    """
    large = {part.group: part.mean for part in compared.groups if part.judged}
    number = _numbers(groups, list(large))
    cells = np.where(number >= 0, number, len(large))
    sums, rows = resampler.sums(values, cells, len(large) + 1), resampler.sums(np.ones(len(values)), cells, len(large) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / rows
    estimates = {group: estimate_of(mean, means[:, index]) for index, (group, mean) in enumerate(large.items())}
    return {group: estimate for group, estimate in estimates.items() if estimate is not None}


def _large(compared: GroupComparison) -> list[GroupRates]:
    return [part for part in compared.groups if part.judged]


def _numbers(groups: npt.NDArray[np.str_], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index of each row's group among `names`, -1 if it is not one of them; shape ``(rows,)``."""
    distinct, number = np.unique(groups, return_inverse=True)
    index = {name: position for position, name in enumerate(names)}
    return np.array([index.get(str(name), -1) for name in distinct], dtype=np.int64)[number]
