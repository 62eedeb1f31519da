"""How much of a search is left for one worker, in time and in money."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from noria.core.use_case import Training


@dataclass(frozen=True)
class Budget:
    """Counts down from when it is made.

    Attributes:
        seconds: what the worker may use.
        per_second: what a second of all workers costs, in the use case's currency.
        money: what all workers together may cost; None where no limit is set.
        began: monotonic seconds when counting began.
    """

    seconds: float
    per_second: float
    money: float | None
    began: float

    @classmethod
    def of(cls, training: Training, spent: float) -> Budget:
        """The budget of one worker.

        Args:
            training: says minutes and money.
            spent: seconds that earlier runs of the same worker have used up.
        """
        per_second = training.cost_per_worker_hour * training.workers / 3600
        return cls(60 * training.search_minutes - spent, per_second, training.budget, time.monotonic())

    @classmethod
    def unlimited(cls) -> Budget:
        """Never used up: for a search that is to end with its trials."""
        return cls(math.inf, 0.0, None, time.monotonic())

    @property
    def left(self) -> float:
        """Seconds left; below 0 when it is used up."""
        return self.began + self.seconds - time.monotonic()

    def in_words(self, currency: str) -> str:
        """What is left, such as `2.4 min and 0.31 EUR left`; empty where there is no limit."""
        if math.isinf(self.seconds):
            return ""
        left = max(self.left, 0.0)
        # Money ends when time does wherever it is the tighter of the two: what is left of it is what the time left costs.
        money = f" and {left * self.per_second:.2f} {currency}" if self.money is not None and self.per_second else ""
        return f"{left / 60:.1f} min{money} left"
