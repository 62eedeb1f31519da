"""What a model must keep before it may be promoted, who says yes, and what may go wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from noria.core.use_case.fields import Frozen


class GateMode(StrEnum):
    """What a failed gate does."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ENFORCED = "enforced"


MetricName = Literal[
    "roc_auc", "average_precision", "log_loss", "brier", "calibration_error", "precision", "recall", "f1", "value",
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1",
    "mae", "rmse", "mape", "wape", "r2", "bias",
    "demographic_parity", "equalised_odds", "disparate_impact",
    "parity", "latency_ms", "size_mb",
]  # fmt: skip
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
    """One promise that a model must keep on the last slice of time before it may be promoted; set exactly one condition."""

    metric: MetricName
    """What is measured; `value` is money per 1,000 decisions."""
    at_least: float | None = None
    """Lowest allowed value."""
    at_most: float | None = None
    """Highest allowed value."""
    better_than: Literal["baseline", "champion"] | None = None
    """Must beat the rule, or the serving model, on the same rows: the paired difference must be better than chance."""
    not_worse_than: Literal["baseline", "champion"] | None = None
    """May not lose to the rule, or the serving model, on the same rows by more than `margin`, chance allowed for."""
    margin: float = Field(default=0.0, ge=0)
    """How much `not_worse_than` allows, in the metric's own unit."""
    worst_segment_at_least: float | None = None
    """Lowest allowed value in any judged segment."""
    worst_segment_at_most: float | None = None
    """Highest allowed value in any judged segment."""
    worst_month_at_least: float | None = None
    """Lowest allowed value in any judged month."""
    worst_month_at_most: float | None = None
    """Highest allowed value in any judged month."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """How sure a comparison with the rule or the serving model must be."""
    mode: GateMode = GateMode.ENFORCED
    """off, dry_run (reports only) or enforced (stops promotion)."""

    @property
    def conditions(self) -> dict[str, float | str]:
        """The conditions that are set, by field."""
        values = {name: getattr(self, name) for name in CONDITIONS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def promise(self) -> str:
        """The condition in words."""
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
    """Who says yes to a model that keeps every promise."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class RiskSeverity(StrEnum):
    """How bad it would be."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Risk(Frozen):
    """Something that may go wrong, and what is done about it."""

    risk: str
    """What may go wrong, for whom."""
    severity: RiskSeverity
    """How bad it would be."""
    mitigation: str
    """What is done about it."""
    gate: MetricName | None = None
    """Metric of the gate that watches over it, where one does."""
