"""Pruning: ends trials that cannot catch up with the completed ones.

Two questions are asked, and neither before `FEWEST` trials are completed:

1. *Within a fold*, every few boosting rounds: even if the trial goes on gaining, can it still reach the median of the
   others? Learning curves flatten, so `OPTIMISM` times the gain over the last rounds is more than is to come. This is fair
   to slow learners, which a comparison at equal rounds (as in Optuna's MedianPruner) is not: they start behind and catch up.
2. *At the end of a fold*: is the mean so far worse than the median of the others on the same folds?

docs/adr/0013-search.md gives the time that is saved, docs/adr/0032-training-libraries.md compares with `BasePruner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 50
"""Rounds before a curve is judged."""
STRIDE = 50
"""Rounds over which the latest gain is measured."""
OPTIMISM = 3.0
"""Largest gain to come, as a multiple of the latest gain."""
FEWEST = 5
"""Fewest completed trials to compare with."""


@dataclass(frozen=True)
class Pruner:
    """Compares a running trial with completed ones.

    Attributes:
        folds: the search metric of each completed trial on each fold.
        lower_is_better: whether the metric is a loss.
    """

    folds: Sequence[Sequence[float]]
    lower_is_better: bool

    def should_prune_in_fold(self, fold: int, curve: Sequence[tuple[int, float]]) -> bool:
        """Whether the learning curve of a fold cannot reach the median of the others any more.

        Args:
            fold: its number, from 0.
            curve: rounds so far, each with the metric after it.
        """
        last = curve[-1][0]
        earlier = [value for step, value in curve if step <= last - STRIDE]
        if len(self.folds) < FEWEST or last < WARM_UP or not earlier:
            return False
        best = min(self._cost(value) for _, value in curve)
        gained = min(self._cost(value) for value in earlier) - best
        median = float(np.median([self._cost(folds[fold]) for folds in self.folds]))
        return best - OPTIMISM * gained > median

    def should_prune_after_fold(self, values: Sequence[float]) -> bool:
        """Whether the mean over the folds so far is worse than the median of the others on the same folds.

        Args:
            values: the metric on each fold so far.
        """
        if len(self.folds) < FEWEST:
            return False
        median = np.median([np.mean([self._cost(value) for value in folds[: len(values)]]) for folds in self.folds])
        return bool(np.mean([self._cost(value) for value in values]) > median)

    def _cost(self, value: float) -> float:
        return value if self.lower_is_better else -value
