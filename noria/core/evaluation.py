"""What was found when a model was judged on the last slice of time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from noria.core.use_case import GateMode


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentMetrics(_Model):
    """Metrics of one value of one segment, or of one month."""

    segment: str
    value: str
    rows: int
    judged: bool
    """False where there are too few rows (or one class only) to judge."""
    metrics: dict[str, float]


class Rival(_Model):
    """Another model on the same rows."""

    name: str
    """`baseline`, or `champion`."""
    version: str
    metrics: dict[str, float]


class EvaluationReport(_Model):
    """Metrics of a candidate on rows that nothing else has touched.

    `metrics` has roc_auc, average_precision, log_loss, brier, precision, recall, f1 and value (money per 1,000 decisions).
    """

    start: str
    end: str
    """Event times of the slice, ISO 8601, half-open."""
    rows: int
    positives: int
    threshold: float
    metrics: dict[str, float]
    segments: tuple[SegmentMetrics, ...] = ()
    rivals: tuple[Rival, ...] = ()
    parity: float
    """Largest difference between the trained estimator and its ONNX graph over the slice."""
    note: str = ""
    """What exactly was measured, where that is not the shipped model itself."""

    def rival(self, name: str) -> Rival | None:
        """The rival of that name, if it was judged."""
        return next((rival for rival in self.rivals if rival.name == name), None)


class GateResult(_Model):
    """One promise held against what was found."""

    promise: str
    found: str
    passed: bool
    mode: GateMode

    @property
    def stops(self) -> bool:
        """Whether this result keeps the model from being promoted."""
        return not self.passed and self.mode is GateMode.ENFORCED
