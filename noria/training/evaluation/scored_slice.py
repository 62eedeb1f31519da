"""A slice of rows with labels and scores: decisions, money, and every metric as a number or a statistic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.metrics.measure import measure_predictions
from noria.core.metrics.resampling import (
    Statistic,
    binary_statistic,
    mean_of_rows,
    multiclass_statistic,
    regression_statistic,
)
from noria.core.model.decision import DecisionPolicy, Decisions, Labels, Money, Scores, money
from noria.core.stats.fairness import MISSING_GROUP
from noria.core.use_case import Value
from noria.training.data.columns import Categories

Positions = npt.NDArray[np.intp]
PER = 1000.0
"""Money is reported per this many decisions."""
FEWEST_ROWS = 200
"""Fewest rows of a segment's value, or of a comparison, that is evaluated."""


@dataclass(frozen=True)
class ScoredSlice:
    """Scores of rows, with their labels.

    Attributes:
        policy: turns scores into decisions.
        value: money per outcome.
        labels: shape ``(rows,)``.
        scores: shape ``(rows,)`` or ``(rows, classes)``.
    """

    policy: DecisionPolicy
    value: Value
    labels: Labels
    scores: Scores

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def decisions(self) -> Decisions:
        """Decisions of the policy; shape ``(rows,)``."""
        return self.policy.decide(self.scores)

    @cached_property
    def money(self) -> Money:
        """Money per 1,000 decisions like each row's, shape ``(rows,)``; the mean is the metric `value`."""
        return PER * money(self.value, self.labels, self.decisions, self.policy.classes)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every metric of the task that the rows can give."""
        return measure_predictions(self.policy, self.value, self.labels, self.scores, self.decisions)

    def take(self, rows: Positions) -> ScoredSlice:
        """The rows at these positions."""
        return ScoredSlice(self.policy, self.value, self.labels[rows], self.scores[rows])

    def statistic(self, metric: str) -> Statistic:
        """A metric as a function of resampled rows."""
        if metric == "value":
            return mean_of_rows(self.money)
        if self.policy.task.is_binary:
            return binary_statistic(metric, self.labels, self.scores, self.policy.threshold)
        if self.policy.task.is_multiclass:
            return multiclass_statistic(metric, self.labels, self.scores, self.decisions)
        return regression_statistic(metric, self.labels, self.scores)


@dataclass(frozen=True)
class RowGroups:
    """Rows grouped by a text; iterates over names and row positions.

    Attributes:
        names: distinct texts, sorted; shape ``(groups,)``.
        number: index into `names` of each row; shape ``(rows,)``.
    """

    names: npt.NDArray[np.str_]
    number: Positions

    @classmethod
    def of(cls, values: Sequence[Any]) -> RowGroups:
        """Groups of a categorical column; rows without a text form the group `MISSING_GROUP`."""
        if isinstance(values, Categories):
            names, rank = np.unique(np.array([*values.names, MISSING_GROUP], dtype=np.str_), return_inverse=True)
            return cls(names, rank[values.codes]).used
        names, number = np.unique(texts(values), return_inverse=True)
        return cls(names, number)

    @property
    def rows(self) -> Positions:
        """Number of rows of each group; shape ``(groups,)``."""
        return np.bincount(self.number, minlength=len(self.names))

    @property
    def used(self) -> RowGroups:
        """Without the groups that have no row."""
        kept = self.rows > 0
        return RowGroups(self.names[kept], (np.cumsum(kept) - 1)[self.number])

    def largest(self, most: int, others: str) -> RowGroups:
        """Keep the `most` largest groups; merge the rest into one, named `others`."""
        if len(self.names) <= most:
            return self
        kept = np.zeros(len(self.names), dtype=np.bool_)
        kept[np.lexsort((self.names, -self.rows))[:most]] = True
        number = np.where(kept, np.cumsum(kept) - 1, most)
        return RowGroups(np.append(self.names[kept], others), number[self.number])

    def __iter__(self) -> Iterator[tuple[str, Positions]]:
        order = np.argsort(self.number, kind="stable")
        ends = np.cumsum(self.rows)
        yield from zip(self.names.tolist(), np.split(order, ends[:-1]), strict=True) if len(self.names) else ()


def texts(values: Sequence[Any]) -> npt.NDArray[np.str_]:
    """A categorical column as an array of texts, `MISSING_GROUP` for a missing value; shape ``(rows,)``."""
    return np.array([MISSING_GROUP if value is None else value for value in values], dtype=np.str_)
