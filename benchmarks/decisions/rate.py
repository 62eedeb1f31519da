"""A measured rate, and what it must be."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Attributes:
        question: what was asked.
        times: how often it happened.
        runs: how often it was tried.
        at_most: the bound; None if there is none above.
        at_least: the bound; None if there is none below.
    """

    question: str
    times: int
    runs: int
    at_most: float | None = None
    at_least: float | None = None

    @property
    def rate(self) -> float:
        """Share of the runs."""
        return self.times / self.runs

    @property
    def holds(self) -> bool:
        """Whether the rate is within the bound, or no further away than two standard errors."""
        bound = self.at_most if self.at_most is not None else self.at_least or 0.0
        slack = 2 * math.sqrt(bound * (1 - bound) / self.runs)
        if self.at_most is not None:
            return self.rate <= self.at_most + slack
        return self.rate >= bound - slack

    def __str__(self) -> str:
        bound = f"<= {self.at_most:.0%}" if self.at_most is not None else f">= {self.at_least:.0%}"
        return f"{self.question:72} {self.rate:6.1%} ({self.times} of {self.runs}), must be {bound}" + (
            "" if self.holds else "  NO"
        )
