"""Limits of a search, and what is left of them for one worker, in time and in money."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from noria.core.base.formatting import money
from noria.core.use_case import UseCase


@dataclass(frozen=True)
class SearchLimits:
    """Limits of a search; the first limit that is reached ends it.

    Attributes:
        trials: number of trials.
        seconds: time for each worker, as far as time and money allow.
        per_second: cost of one second of all workers, in `currency`.
        money: cost limit of all workers together; None for no limit.
        currency: of the use case.
    """

    trials: int
    seconds: float = math.inf
    per_second: float = 0.0
    money: float | None = None
    currency: str = ""


def search_limits(use_case: UseCase) -> SearchLimits:
    """The limits that a use case sets."""
    training = use_case.training
    return SearchLimits(
        trials=training.trials,
        seconds=60 * training.search_minutes,
        per_second=training.cost_per_worker_hour * training.workers / 3600,
        money=training.budget,
        currency=use_case.business.currency,
    )


@dataclass(frozen=True)
class Budget:
    """Counts down the limits of one worker from the moment it is made.

    Attributes:
        limits: of the search.
        seconds: what the worker may use.
        began: monotonic seconds when counting began.
    """

    limits: SearchLimits
    seconds: float
    began: float

    @classmethod
    def of(cls, limits: SearchLimits, spent: float) -> Budget:
        """The budget of one worker.

        Args:
            limits: of the search.
            spent: seconds that earlier runs of the same worker have used.
        """
        return cls(limits, limits.seconds - spent, time.monotonic())

    @property
    def left(self) -> float:
        """Seconds left; below 0 when it is used up."""
        return self.began + self.seconds - time.monotonic()

    def in_words(self) -> str:
        """The remaining budget, such as `2.4 min and EUR 0.31 left`; empty if there is no limit."""
        if math.isinf(self.seconds):
            return ""
        left, limits = max(self.left, 0.0), self.limits
        # Money and time end together, as the tighter one sets `seconds`: the time left costs the money left.
        priced = limits.money is not None and limits.per_second
        cost = f" and {money(left * limits.per_second, limits.currency)}" if priced else ""
        return f"{left / 60:.1f} min{cost} left"
