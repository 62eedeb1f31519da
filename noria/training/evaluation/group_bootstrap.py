"""How sure the rates of groups are: the same rows are drawn anew as for every other figure.

The gap between the highest and the lowest of several rates grows by noise alone: drawn anew as it stands, it would lie too
high, the more groups there are the higher. So an interval is that of the two groups that are farthest apart on all rows. Its
ends may come out on the other side of equal (below 0, of a ratio above 1): then the gap may be chance. It does not know that
the two were chosen among many.
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
    """Rates of the groups that are judged, in every sample.

    Attributes:
        compared: what was found on all rows.
        counts: rows of every sample; shape ``(rounds, judged groups, 2, 2)``: by what happened, then by what was decided.
    """

    compared: GroupComparison
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        compared: GroupComparison,
        labels: Labels,
        decisions: Decisions,
        named: npt.NDArray[np.str_],
        resampler: Resampler,
    ) -> DrawnGroups:
        """Draw the rows anew.

        Args:
            compared: what was found on all rows.
            labels: what happened, as flags; shape ``(rows,)``.
            decisions: what was decided, as flags.
            named: the group of each row, as `compared` names it.
            chance: how rows are drawn.
        """
        judged = _judged(compared)
        place = _places(named, [part.group for part in judged])
        cells = 4 * place + 2 * labels + decisions
        known = place >= 0
        drawn = resampler.counts(np.where(known, cells, 4 * len(judged)), 4 * len(judged) + 1)
        return cls(compared, drawn[:, :-1].reshape(len(drawn), len(judged), 2, 2))

    def rates(self, group: str) -> dict[str, Estimate]:
        """Intervals of one group's rates, by name; of those that it has enough rows for."""
        judged = _judged(self.compared)
        place = next((index for index, part in enumerate(judged) if part.group == group), None)
        if place is None:
            return {}
        found = {rate: estimate_of(getattr(judged[place], rate), self._drawn[rate][:, place]) for rate in _RATES}
        return {rate: estimate for rate, estimate in found.items() if estimate is not None}

    def gaps(self) -> dict[str, Estimate]:
        """Intervals of the figures that a gate can hold, by name."""
        found = {
            "demographic_parity": self._gap(("selection_rate",)),
            "disparate_impact": self._ratio(),
            "equalised_odds": self._gap(("true_positive_rate", "false_positive_rate")),
        }
        told = self.compared.metrics
        return {name: estimate for name, estimate in found.items() if estimate is not None and name in told}

    @cached_property
    def _drawn(self) -> dict[str, Floats]:
        """Rates in every sample; shape ``(rounds, judged groups)`` each, NaN where a sample has no such row."""
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
        """The lowest share of yes over the highest."""
        for lowest, low, highest, high in self._ends("selection_rate"):
            drawn = self._drawn["selection_rate"]
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = drawn[:, lowest] / drawn[:, highest]
            return estimate_of(low / high, ratios) if high > 0 else None
        return None

    def _ends(self, rate: str) -> Iterator[tuple[int, float, int, float]]:
        """The group with the lowest rate and it, and the group with the highest and it; nothing where there are not two."""
        known = [(getattr(part, rate), index) for index, part in enumerate(_judged(self.compared))]
        known = [(number, index) for number, index in known if not np.isnan(number)]
        if len(known) > 1:
            (low, lowest), (high, highest) = min(known), max(known)
            yield lowest, low, highest, high


def drawn_means(
    values: Floats, named: npt.NDArray[np.str_], compared: MeanComparison, resampler: Resampler
) -> dict[str, Estimate]:
    """Intervals of the mean of a number, by group; of those that are judged.

    Args:
        values: one per row, shape ``(rows,)``.
        named: the group of each row.
        compared: what was found on all rows.
        chance: how rows are drawn.
    """
    groups = {part.group: part.mean for part in compared.groups if part.judged}
    place = _places(named, list(groups))
    cells = np.where(place >= 0, place, len(groups))
    sums, rows = resampler.sums(values, cells, len(groups) + 1), resampler.sums(np.ones(len(values)), cells, len(groups) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / rows
    found = {group: estimate_of(mean, means[:, index]) for index, (group, mean) in enumerate(groups.items())}
    return {group: estimate for group, estimate in found.items() if estimate is not None}


def _judged(compared: GroupComparison) -> list[GroupRates]:
    return [part for part in compared.groups if part.judged]


def _places(named: npt.NDArray[np.str_], groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index into the groups of each row, -1 where it is of none."""
    names, number = np.unique(named, return_inverse=True)
    index = {group: place for place, group in enumerate(groups)}
    return np.array([index.get(str(name), -1) for name in names], dtype=np.int64)[number]
