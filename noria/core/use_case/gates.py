"""Gates before a promotion, its approval, and the risks of a model."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from noria.core.use_case.fields import Frozen
from noria.core.use_case.metric_catalog import MetricName


class GateMode(StrEnum):
    """Effect of a failed gate."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ENFORCED = "enforced"


CONDITIONS = (
    "at_least",
    "at_most",
    "better_than",
    "not_worse_than",
    "worst_segment_at_least",
    "worst_segment_at_most",
    "worst_month_at_least",
    "worst_month_at_most",
)
"""The fields of a gate of which exactly one is set."""


class Gate(Frozen):
    """A condition on the last slice of time that a model must meet before it may be promoted. Set exactly one condition."""

    metric: MetricName
    """Metric; `value` is money per 1,000 decisions."""
    at_least: float | None = None
    """Lowest allowed value."""
    at_most: float | None = None
    """Highest allowed value."""
    better_than: Literal["baseline", "champion"] | None = None
    """Must be better than the baseline or the champion on the same rows: the paired difference must be significant."""
    not_worse_than: Literal["baseline", "champion"] | None = None
    """May not be worse than the baseline or the champion on the same rows by more than `margin`, with confidence."""
    margin: float = Field(default=0.0, ge=0)
    """Difference that `not_worse_than` allows, in the metric's unit."""
    worst_segment_at_least: float | None = None
    """Lowest allowed value in any judged segment."""
    worst_segment_at_most: float | None = None
    """Highest allowed value in any judged segment."""
    worst_month_at_least: float | None = None
    """Lowest allowed value in any judged month."""
    worst_month_at_most: float | None = None
    """Highest allowed value in any judged month."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level of a comparison with the baseline or the champion."""
    mode: GateMode = GateMode.ENFORCED
    """off, dry_run (reports only) or enforced (stops promotion)."""

    @property
    def conditions(self) -> dict[str, float | str]:
        """The conditions that are set, by field."""
        values = {name: getattr(self, name) for name in CONDITIONS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def condition(self) -> str:
        """The condition in words.

        Example:
            >>> Gate(metric="recall", worst_segment_at_least=0.5).condition
            'recall at least 0.5 in every judged segment'
        """
        words = {
            "at_least": "at least {}",
            "at_most": "at most {}",
            "better_than": "better than the {}",
            "not_worse_than": "not worse than the {}" + (f" by more than {self.margin:g}" if self.margin else ""),
            "worst_segment_at_least": "at least {} in every judged segment",
            "worst_segment_at_most": "at most {} in every judged segment",
            "worst_month_at_least": "at least {} in every judged month",
            "worst_month_at_most": "at most {} in every judged month",
        }
        ((name, value),) = self.conditions.items()
        return f"{self.metric} {words[name].format(value if isinstance(value, str) else f'{value:g}')}"


class Approval(StrEnum):
    """Approval of a model whose gates passed: by a person, or automatic."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class RiskSeverity(StrEnum):
    """Severity."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Risk(Frozen):
    """Something that may go wrong, and its mitigation."""

    risk: str
    """What may go wrong, for whom."""
    severity: RiskSeverity
    """Severity."""
    mitigation: str
    """Mitigation."""
    gate: MetricName | None = None
    """Metric of the gate that covers it, if any."""
