"""Rows sorted by score once, so that ranking metrics of many resamples of them need no further sort."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankedRows:
    """Rows from the highest score to the lowest.

    Attributes:
        order: row numbers in that order, shape ``(rows,)``.
        labels: labels in that order.
        tie_ends: positions of the last row of each run of equal scores; rows of one score have no order among themselves.
    """

    order: npt.NDArray[np.intp]
    labels: npt.NDArray[np.bool_]
    tie_ends: npt.NDArray[np.intp]

    @classmethod
    def of(cls, labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> RankedRows:
        """Sort rows; labels and scores have shape ``(rows,)``. A score that is NaN has no place: then metrics are NaN."""
        if np.isnan(scores).any():
            labels = np.zeros(len(labels), dtype=np.bool_)
        order = np.argsort(-scores)
        ranked = scores[order]
        ends = np.flatnonzero(ranked[1:] != ranked[:-1])
        return cls(order, labels[order], np.append(ends, len(ranked) - 1) if len(ranked) else ends)

    def roc_auc(self, drawn: Ints | None = None) -> float:
        """Probability that a positive row scores above a negative one, ties counting half (Mann-Whitney U).

        Args:
            drawn: row numbers to measure, repeats included; all rows once by default.
        """
        hits, false_alarms = self._counts(drawn)
        positives, negatives = (int(hits[-1]), int(false_alarms[-1])) if len(hits) else (0, 0)
        if not positives or not negatives:
            return math.nan
        hits_above = np.concatenate(([0], hits[:-1]))
        pairs = np.diff(false_alarms, prepend=0) * (hits_above + hits)  # each pair counts 2 above and 1 within a tie
        return float(pairs.sum()) / 2 / positives / negatives

    def average_precision(self, drawn: Ints | None = None) -> float:
        """Sum over distinct thresholds of precision times the recall gained there.

        Args:
            drawn: row numbers to measure, repeats included; all rows once by default.
        """
        hits, false_alarms = self._counts(drawn)
        positives = int(hits[-1]) if len(hits) else 0
        if not positives:
            return math.nan
        precision_at = hits / np.maximum(hits + false_alarms, 1)
        return float(np.sum(precision_at * np.diff(hits, prepend=0))) / positives

    def _counts(self, drawn: Ints | None) -> tuple[Ints, Ints]:
        """Positive and negative rows down to the end of each tie."""
        if drawn is None:
            hits = np.cumsum(self.labels, dtype=np.int64)[self.tie_ends]
            return hits, self.tie_ends + 1 - hits
        times = np.bincount(drawn, minlength=len(self.order))[self.order]
        hits = np.cumsum(times * self.labels)[self.tie_ends]
        return hits, np.cumsum(times)[self.tie_ends] - hits
