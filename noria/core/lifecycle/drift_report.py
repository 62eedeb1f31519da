"""Drift, quality and money of one interval: stored with the verdict, so that the e-mail needs no second computation."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from noria.core.lifecycle.monitoring_verdict import QualityComparison, Verdict
from noria.core.metrics.task_profile import profile_of
from noria.core.stats.drift import FeatureDrift
from noria.core.use_case import DEFAULT_TASK, Task


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Performance(_Model):
    """How the decisions did on the rows whose label has arrived."""

    labelled: int
    positives: int = 0
    """Binary classification: rows of the positive class."""
    metrics: dict[str, float]
    """Value per 1,000 decisions and what else `noria.core.metrics.measure` measures for the task."""
    promised: dict[str, float]
    """The same, of the model's own evaluation; empty for version 0."""
    baseline: dict[str, float]
    """The same, of the baseline on the same rows."""

    def quality(self, task: Task) -> QualityComparison:
        """The headline metric of the task beside that at evaluation."""
        metric = profile_of(task).headline
        return QualityComparison(metric, self.metrics.get(metric), self.promised.get(metric))


class SegmentFinding(_Model):
    """One value of one segment."""

    segment: str
    value: str
    rows: int
    labelled: int = 0
    distance: float | None
    """How far its predictions have moved from the reference's of that segment; None without enough of either."""
    metric: str
    """The headline metric of the task."""
    found: float | None = None
    """Its value on the labelled rows; None where there are too few, or they cannot give it."""
    promised: float | None
    """Its value in the segment's own evaluation; None where it was not judged."""
    gain_per_1000: float | None = None
    """Value per 1,000 decisions above the baseline's on the same rows."""

    @property
    def quality(self) -> QualityComparison:
        """The headline metric beside that at evaluation."""
        return QualityComparison(self.metric, self.found, self.promised)


class LedgerEntry(_Model):
    """The interval's line of the ledger, in the use case's currency."""

    currency: str
    decisions: int
    labelled: int
    value: float
    """What the decisions on labelled rows were worth."""
    baseline_value: float
    """What the baseline would have been worth on the same rows."""
    cost: float
    """Running the platform: its share of a month, the predictions, and trainings whose as-of date is in the interval."""

    @property
    def gain(self) -> float:
        """Gain of the model above the baseline, less the cost."""
        return self.value - self.baseline_value - self.cost


class DriftReport(_Model):
    """Everything that monitoring found about one interval."""

    use_case: str
    task: Task = DEFAULT_TASK
    start: datetime
    end: datetime
    version: str
    verdict: Verdict
    reason: str
    rows: int
    reference_rows: int
    """Rows of the version's own reference set; 0 for version 0."""
    features: tuple[FeatureDrift, ...]
    """All features, the farthest moved first; empty for version 0."""
    prediction: FeatureDrift | None
    label: FeatureDrift | None
    performance: Performance
    segments: tuple[SegmentFinding, ...]
    """The segments to look at first."""
    money: LedgerEntry

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features beyond the effect size."""
        return tuple(feature for feature in self.features if feature.drifted)

    @property
    def quality(self) -> QualityComparison:
        """The headline metric of the task beside that at evaluation."""
        return self.performance.quality(self.task)

    @property
    def lost_per_1000(self) -> float | None:
        """Value per 1,000 decisions below the model's own evaluation; negative where it does better; None if unknown."""
        promised, found = self.performance.promised.get("value"), self.performance.metrics.get("value")
        return None if promised is None or found is None else promised - found

    @property
    def lost(self) -> float | None:
        """The same over the interval's labelled decisions."""
        return None if self.lost_per_1000 is None else self.lost_per_1000 * self.performance.labelled / 1000
