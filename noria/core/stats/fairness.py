"""Whether groups of people (or carriers, or hotels) are treated alike: rates per group, and how far the groups are apart.

The differences are fairlearn's (Bird et al., "Fairlearn: A toolkit for assessing and improving fairness in AI", 2020), with
two deviations: a group of few rows is shown but does not count, and a group without enough positive (negative) rows has no
true (false) positive rate, where fairlearn says 0. An undefined figure is NaN.

For a choice among classes, ask class by class: pass ``labels == index`` and ``decisions == index``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.metrics.direction import finite

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.str_] | Sequence[str | None]
MISSING_GROUP = "(missing)"
"""The group of rows that name none."""
FEWEST_ROWS = 200
"""Fewest rows for a group to count."""
FEWEST_OUTCOMES = 20
"""Fewest positive rows for a true positive rate, and negative rows for a false positive rate."""
FOUR_FIFTHS = 0.8
"""Least disparate impact by the four-fifths rule (Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D)."""


@dataclass(frozen=True)
class GroupRates:
    """How one group is treated.

    Attributes:
        group: its name.
        rows: how many rows it has.
        judged: false where they are too few to count.
        selection_rate: share decided yes.
        true_positive_rate: share of its positive rows decided yes; NaN where they are too few.
        false_positive_rate: share of its negative rows decided yes; NaN where they are too few.
    """

    group: str
    rows: int
    judged: bool
    selection_rate: float
    true_positive_rate: float
    false_positive_rate: float


@dataclass(frozen=True)
class GroupComparison:
    """How far groups are apart in decisions; every number is NaN where fewer than two groups can be judged."""

    groups: tuple[GroupRates, ...]
    """All groups, by name, those that are not judged included."""

    @property
    def demographic_parity_difference(self) -> float:
        """Largest difference between the shares of two groups decided yes; 0 is equal."""
        return _spread(part.selection_rate for part in self._judged)

    @property
    def disparate_impact(self) -> float:
        """Lowest share decided yes over the highest; 1 is equal. NaN if no one is decided yes."""
        rates = [part.selection_rate for part in self._judged]
        return min(rates) / max(rates) if len(rates) > 1 and max(rates) > 0 else math.nan

    @property
    def equalised_odds_difference(self) -> float:
        """The larger of the differences in true and in false positive rates; 0 is equal.

        Hardt, Price & Srebro, "Equality of Opportunity in Supervised Learning" (2016). NaN if either is undefined.
        """
        hits = _spread(part.true_positive_rate for part in self._judged)
        false_alarms = _spread(part.false_positive_rate for part in self._judged)
        return math.nan if math.isnan(hits) or math.isnan(false_alarms) else max(hits, false_alarms)

    @property
    def metrics(self) -> dict[str, float]:
        """The three by the names that a gate can hold; undefined ones are left out."""
        return finite(
            {
                "demographic_parity": self.demographic_parity_difference,
                "disparate_impact": self.disparate_impact,
                "equalised_odds": self.equalised_odds_difference,
            }
        )

    @property
    def _judged(self) -> tuple[GroupRates, ...]:
        return tuple(part for part in self.groups if part.judged)


@dataclass(frozen=True)
class GroupMean:
    """Mean of one group; `judged` is false where it has too few rows to count."""

    group: str
    rows: int
    judged: bool
    mean: float


@dataclass(frozen=True)
class MeanComparison:
    """How far groups are apart in a number."""

    groups: tuple[GroupMean, ...]
    """All groups, by name, those that are not judged included."""

    @property
    def mean_difference(self) -> float:
        """Largest difference between the means of two groups, in the number's unit; NaN where fewer than two are judged."""
        return _spread(part.mean for part in self.groups if part.judged)


def compare_groups(
    labels: Flags,
    decisions: Flags,
    groups: Groups,
    *,
    fewest_rows: int = FEWEST_ROWS,
    fewest_outcomes: int = FEWEST_OUTCOMES,
) -> GroupComparison:
    """Rates of every group.

    Args:
        labels: what happened, shape ``(rows,)``.
        decisions: what was decided.
        groups: the group of each row; None is a group of its own.
        fewest_rows: a group with fewer does not count.
        fewest_outcomes: fewest positive (negative) rows for a true (false) positive rate.
    """
    names, number = _numbered(groups)
    count = _Counter(number, len(names))
    rows, selected = count(np.ones_like(decisions)), count(decisions)
    positives, hits = count(labels), count(labels & decisions)
    hit_rates = _shares(hits, positives, fewest_outcomes)
    false_alarm_rates = _shares(selected - hits, rows - positives, fewest_outcomes)
    parts = zip(names, rows.tolist(), (selected / rows).tolist(), hit_rates, false_alarm_rates, strict=True)
    return GroupComparison(
        tuple(
            GroupRates(name, size, size >= fewest_rows, selection, hit_rate, false_alarm_rate)
            for name, size, selection, hit_rate, false_alarm_rate in parts
        )
    )


def compare_means(values: Floats, groups: Groups, *, fewest_rows: int = FEWEST_ROWS) -> MeanComparison:
    """Mean of every group of a number, such as predictions, or errors (prediction less label).

    Args:
        values: one per row, shape ``(rows,)``.
        groups: the group of each row; None is a group of its own.
        fewest_rows: a group with fewer does not count.
    """
    names, number = _numbered(groups)
    rows = np.bincount(number, minlength=len(names))
    means = np.bincount(number, weights=values, minlength=len(names)) / rows
    parts = zip(names, rows.tolist(), means.tolist(), strict=True)
    return MeanComparison(tuple(GroupMean(name, size, size >= fewest_rows, mean) for name, size, mean in parts))


@dataclass(frozen=True)
class _Counter:
    """Counts rows per group that are true."""

    number: npt.NDArray[np.intp]
    groups: int

    def __call__(self, flags: Flags) -> npt.NDArray[np.intp]:
        return np.bincount(self.number[flags], minlength=self.groups)


def _numbered(groups: Groups) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Names in order, and the number of each row's name among them."""
    named = np.array([MISSING_GROUP if name is None else name for name in groups], dtype=np.str_)
    names, number = np.unique(named, return_inverse=True)
    return names.tolist(), number


def _shares(parts: npt.NDArray[np.intp], wholes: npt.NDArray[np.intp], fewest: int) -> list[float]:
    enough = wholes >= max(fewest, 1)
    shares: list[float] = np.where(enough, parts / np.maximum(wholes, 1), math.nan).tolist()
    return shares


def _spread(numbers: Iterable[float]) -> float:
    """Highest less lowest of the numbers that are known; NaN where fewer than two are."""
    known = [number for number in numbers if not math.isnan(number)]
    return max(known) - min(known) if len(known) > 1 else math.nan
