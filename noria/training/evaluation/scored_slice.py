"""What somebody's scores of the judged rows led to: decisions, money, and every metric as a number or a statistic."""

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
from noria.core.use_case import Task, Value
from noria.training.data.columns import Categories

Positions = npt.NDArray[np.intp]
PER = 1000.0
"""Money is reported per this many decisions."""
MISSING = "(missing)"
"""The text that stands for a missing category."""


@dataclass(frozen=True)
class ScoredSlice:
    """Scores of rows, held against what happened.

    Attributes:
        policy: how the scores become decisions.
        value: money per outcome.
        labels: what happened; shape ``(rows,)``.
        scores: what was said; shape ``(rows,)`` or ``(rows, classes)``.
    """

    policy: DecisionPolicy
    value: Value
    labels: Labels
    scores: Scores

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def decisions(self) -> Decisions:
        """What the policy decides."""
        return self.policy.decide(self.scores)

    @cached_property
    def money(self) -> Money:
        """Money per 1,000 decisions like each row's; its mean is the metric `value`."""
        return PER * money(self.value, self.labels, self.decisions, self.policy.classes)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every metric of the task that the rows can give."""
        return measure_predictions(self.policy, self.value, self.labels, self.scores, self.decisions)

    def take(self, rows: Positions) -> ScoredSlice:
        """The outcome of these rows alone."""
        return ScoredSlice(self.policy, self.value, self.labels[rows], self.scores[rows])

    def statistic(self, metric: str) -> Statistic:
        """A metric as a function of drawn rows."""
        if metric == "value":
            return mean_of_rows(self.money)
        if self.policy.task is Task.BINARY_CLASSIFICATION:
            return binary_statistic(metric, self.labels, self.scores, self.policy.threshold)
        if self.policy.task is Task.MULTICLASS:
            return multiclass_statistic(metric, self.labels, self.scores, self.decisions)
        return regression_statistic(metric, self.labels, self.scores)


@dataclass(frozen=True)
class RowGroups:
    """Rows told apart by a text, each text kept once.

    Attributes:
        names: every text that a row has, in order.
        number: which of them each row has; shape ``(rows,)``.
    """

    names: npt.NDArray[np.str_]
    number: Positions

    @classmethod
    def of(cls, values: Sequence[Any]) -> RowGroups:
        """The parts of a categorical column; rows without a text are the part `MISSING`."""
        if isinstance(values, Categories):
            names, rank = np.unique(np.array([*values.names, MISSING], dtype=np.str_), return_inverse=True)
            return cls(names, rank[values.codes]).used
        names, number = np.unique(texts(values), return_inverse=True)
        return cls(names, number)

    @property
    def rows(self) -> Positions:
        """Rows of each part."""
        return np.bincount(self.number, minlength=len(self.names))

    @property
    def used(self) -> RowGroups:
        """Without the texts that no row has."""
        kept = self.rows > 0
        return RowGroups(self.names[kept], (np.cumsum(kept) - 1)[self.number])

    def largest(self, most: int, others: str) -> RowGroups:
        """At most so many parts told apart, the largest ones; the rows of all others are one part more."""
        if len(self.names) <= most:
            return self
        kept = np.zeros(len(self.names), dtype=np.bool_)
        kept[np.lexsort((self.names, -self.rows))[:most]] = True
        place = np.where(kept, np.cumsum(kept) - 1, most)
        return RowGroups(np.append(self.names[kept], others), place[self.number])

    def __iter__(self) -> Iterator[tuple[str, Positions]]:
        order = np.argsort(self.number, kind="stable")
        ends = np.cumsum(self.rows)
        yield from zip(self.names.tolist(), np.split(order, ends[:-1]), strict=True) if len(self.names) else ()


def texts(values: Sequence[Any]) -> npt.NDArray[np.str_]:
    """A categorical column as an array of texts, `MISSING` where there is none."""
    return np.array([MISSING if value is None else value for value in values], dtype=np.str_)


def evenly(rows: int, most: int) -> Positions:
    """Positions of at most `most` rows, evenly over all of them: the same ones every time."""
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, most)).astype(np.intp))
