"""How a version whose gates passed takes over: in steps, beside the champion, rolled back at once when it does harm."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from noria.core.use_case.fields import Duration, Frozen, parse_duration


class RolloutMode(StrEnum):
    """Purpose of the steps."""

    CANARY = "canary"
    """The challenger takes over step by step, unless it does worse."""
    AB = "ab"
    """Both serve fixed shares until one of them earns more."""


class GuardPolicy(Frozen):
    """When serving itself rolls a challenger back, at once. Counted in each serving process."""

    error_rate: float = Field(default=0.01, gt=0, lt=1)
    """Share of requests that may fail; the champion answers them."""
    p99_ms: float = Field(default=50.0, gt=0)
    """99th percentile of the scoring time, in milliseconds; counts if the champion is faster at the same time."""
    invalid: int = Field(default=0, ge=0)
    """Number of answers that may be invalid (not a number, no probability, the wrong shape) before it is rolled back."""
    min_requests: int = Field(default=50, ge=1)
    """Minimum of requests for a verdict on errors and time, and of answers before the next step."""


class JudgePolicy(Frozen):
    """When a comparison with the champion rolls a challenger back, between steps."""

    score_shift: float = Field(default=0.2, gt=0, le=1)
    """Distance between the scores of both (Jensen-Shannon distance, 0 to 1) above which they differ too much."""
    quality_drop: float = Field(default=0.05, ge=0)
    """Loss of money per decision that counts, as a share of the champion's absolute money per decision."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level of a loss, valid at every look."""
    min_rows: int = Field(default=200, ge=20)
    """Minimum of rows of each version for a verdict, overall or in a segment."""


class StopPolicy(Frozen):
    """When a rollout ends that does not end by itself."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """A/B: confidence level of a difference of money per decision for one to win, valid at every look."""
    at_most: Duration = timedelta(days=30)
    """Maximum length of a rollout; after that the champion stays."""


class RolloutPolicy(Frozen):
    """How a version takes over. Without this section a promotion is at once."""

    mode: RolloutMode = RolloutMode.CANARY
    """canary or ab."""
    steps: tuple[int, ...] = (5, 25, 100)
    """Canary: share of the entities that the challenger answers at each step, in percent, rising."""
    bake: Duration = timedelta(minutes=2)
    """Canary: minimum stay at a step."""
    share: int = Field(default=50, gt=0, lt=100)
    """A/B: share of the entities that the challenger answers, in percent."""
    shadow: Literal[False] | Duration = False
    """Time in shadow mode first: the challenger scores every request and answers none; false for none."""
    idle: Literal[False] | Duration = False
    """Canary: time without requests after which a step is over; false waits for requests."""
    guard: GuardPolicy = GuardPolicy()
    """When serving rolls the challenger back."""
    judge: JudgePolicy = JudgePolicy()
    """When a comparison with the champion rolls the challenger back."""
    stop: StopPolicy = StopPolicy()
    """When the rollout ends at the latest."""

    @field_validator("shadow", "idle", mode="before")
    @classmethod
    def _read_duration(cls, value: object) -> object:
        return value if value is False else parse_duration(value)

    @property
    def shadow_for(self) -> timedelta:
        """Time in shadow mode; zero for none."""
        return self.shadow or timedelta(0)

    @property
    def shares(self) -> tuple[int, ...]:
        """Share of the challenger at each step, in percent; of A/B there is one step.

        Example:
            >>> RolloutPolicy(steps=(5, 25, 100)).shares, RolloutPolicy(mode=RolloutMode.AB, share=50).shares
            ((5, 25, 100), (50,))
        """
        return (self.share,) if self.mode is RolloutMode.AB else self.steps
