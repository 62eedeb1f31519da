"""Results of an evaluation on rows that nothing else has touched."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from noria.core.use_case import DEFAULT_TASK, GateMode, Task

MONTH = "event_month"
"""The segment of months in a report."""


class _Model(BaseModel):
    # An undefined figure is NaN: as text it survives strict JSON, where pydantic would write null and not read it back.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Estimate(_Model):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    error: float | None = None
    """Standard error; None in a report of an earlier release."""
    freedom: float | None = None
    """Degrees of freedom of Student's t."""


class SegmentMetrics(_Model):
    """Metrics of one value of one segment, or of one month (segment `event_month`)."""

    segment: str
    value: str
    rows: int
    judged: bool
    """False where there are too few rows (or one class only) to judge."""
    metrics: dict[str, float]
    intervals: dict[str, Estimate] = {}
    """By metric; of the metrics that gates ask for, of `value`, and of ROC AUC, accuracy or mean absolute error."""


class ReferenceResult(_Model):
    """Another model on the same rows."""

    name: str
    """`baseline`, or `champion`."""
    version: str
    metrics: dict[str, float]
    differences: dict[str, Difference] = {}
    """Candidate less reference model by metric, paired on the same rows."""
    rows: int = 0
    """Rows that were compared; 0 stands for all of them."""
    candidate: dict[str, float] = {}
    """Metrics of the candidate on the rows that were compared, where these are not all."""
    note: str = ""
    """Why it could not be compared, or only on some rows."""


class Difference(_Model):
    """Candidate less reference model on the same rows, with its 95 % interval."""

    value: float
    low: float
    high: float
    p_not_better: float
    """One-sided p-value of "the candidate is not better": small means that its lead is more than chance."""
    error: float | None = None
    """Standard error; None in a report of an earlier release."""
    freedom: float | None = None
    """Degrees of freedom of Student's t."""


class ValueLine(_Model):
    """Money of one decision maker on these rows, per 1,000 decisions."""

    name: str
    """`candidate`, `champion`, `baseline`, `nothing` (do nothing) or `perfect` (perfect foresight)."""
    per_1000: Estimate


class CurvePoint(_Model):
    """A point of a curve."""

    x: float
    y: float


class CalibrationBin(_Model):
    """Rows with similar scores."""

    score: float
    """Mean score."""
    rate: float
    """Share of them that turned out positive; for regression the mean label."""
    rows: int


class GroupRate(_Model):
    """One value of a protected attribute."""

    attribute: str
    value: str
    rows: int
    judged: bool
    """False where there are too few rows to judge."""
    selection_rate: float
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None
    intervals: dict[str, Estimate] = {}
    """By rate."""


class Fairness(_Model):
    """Decisions over the values of one protected attribute."""

    attribute: str
    demographic_parity: float | None = None
    """Largest less smallest share of yes decisions; None where fewer than two groups can be judged."""
    disparate_impact: float | None = None
    """Smallest over largest share of yes decisions; below 0.8 is what the four-fifths rule warns of."""
    equalised_odds: float | None = None
    """Larger of the spreads of true and of false positive rates; None if a rate is undefined."""
    intervals: dict[str, Estimate] = {}
    """By figure, each of the two groups that are farthest apart; beyond equal where the gap may be chance."""
    groups: tuple[GroupRate, ...]


class GroupErrorStats(_Model):
    """Regression: predictions for one value of a protected attribute."""

    attribute: str
    value: str
    rows: int
    judged: bool
    """False where there are too few rows to judge."""
    mean_prediction: float
    """In the label's unit."""
    mean_error: float
    """Mean of prediction less label: above 0 where the group is predicted too high."""
    intervals: dict[str, Estimate] = {}
    """By mean."""


class Contribution(_Model):
    """How much a feature moves predictions."""

    feature: str
    importance: float
    """Mean absolute SHAP value, in log odds or the label's unit."""
    segment: str = ""
    """`segment=value`, or empty for all rows."""


class ReasonCode(_Model):
    """One reason for one prediction."""

    feature: str
    words: str
    """The feature and its value in the words of the use case, such as `Age of the plane: 24 years`."""
    contribution: float
    """SHAP value: above 0 it raised the score."""


class Example(_Model):
    """One judged row, with what moved its score most."""

    why: str
    """Why this row is shown, such as `surest yes that was wrong`."""
    score: float
    """Probability of yes, of the class decided on, or the number."""
    decided: str
    happened: str
    reasons: tuple[ReasonCode, ...]


class LeakageWarning(_Model):
    """A feature that may know the answer."""

    feature: str
    reason: str


class LearningPoint(_Model):
    """The same pipeline fitted to a part of the training rows."""

    rows: int
    metric: float


class EvaluationReport(_Model):
    """Metrics of a candidate on rows that nothing else has touched.

    `metrics` has every name of `gate_metrics` of the task that the rows could give, `value`
    (money per 1,000 decisions), `parity`, `latency_ms` and `size_mb` among them.
    """

    task: Task = DEFAULT_TASK
    start: str
    end: str
    """Event times of the rows, ISO 8601, half-open."""
    rows: int
    training_rows: int = 0
    """Rows that the judged model was fitted to."""
    positives: int = 0
    """Binary classification: rows of the positive class."""
    classes: dict[str, int] = {}
    """Multiclass: rows by class, in the order of the classes."""
    threshold: float = 0.5
    metrics: dict[str, float]
    left_out: dict[str, int] = {}
    """By metric: rows that it cannot use, such as those whose label is 0 for the percentage error."""
    intervals: dict[str, Estimate] = {}
    """By metric."""
    segments: tuple[SegmentMetrics, ...] = ()
    rivals: tuple[ReferenceResult, ...] = ()
    values: tuple[ValueLine, ...] = ()
    """Candidate, champion, rule, doing nothing and perfect foresight, side by side."""
    threshold_curve: tuple[CurvePoint, ...] = ()
    """Money per 1,000 decisions; binary classification: over thresholds; regression: over what is added to each number."""
    calibration: tuple[CalibrationBin, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows by what happened, then by what was decided; binary: no, yes."""
    residuals: tuple[CurvePoint, ...] = ()
    """Regression: an even sample of predicted number and error."""
    fairness: tuple[Fairness, ...] = ()
    group_errors: tuple[GroupErrorStats, ...] = ()
    """Regression: by protected attribute, where decisions are numbers and no share of yes can be held against another."""
    contributions: tuple[Contribution, ...] = ()
    explained_rows: int = 0
    """Rows whose contributions were taken, an even sample."""
    examples: tuple[Example, ...] = ()
    """A handful of rows, explained."""
    suspects: tuple[LeakageWarning, ...] = ()
    learning_curve: tuple[LearningPoint, ...] = ()
    search_metric: str = ""
    """What the search optimised, and the learning curve shows."""
    resampled: str = ""
    """What was drawn anew for the intervals: `days`, `rows`, or the feature that groups rows."""
    calibrated_by: str = ""
    """The calibration that did best on validation rows."""
    parity: float
    """Largest difference between the trained estimator and its ONNX graph over the slice."""
    note: str = ""
    """What exactly was measured, where that is not the shipped model itself."""

    def reference(self, name: str) -> ReferenceResult | None:
        """The reference model of that name; None if it was not measured.

        Example:
            >>> baseline = bundle.report.reference("baseline")
            >>> baseline.version, baseline.differences["value"].value > 0
            ('0', True)
            >>> bundle.report.reference("yesterday's") is None
            True
        """
        return next((found for found in self.rivals if found.name == name), None)


class GateResult(_Model):
    """A gate held against an evaluation, passed or failed."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    condition: str = Field(validation_alias="promise", serialization_alias="promise")
    """Stored as `promise` in model cards, as the first release named it."""
    found: str
    passed: bool
    mode: GateMode
    metric: str = ""
    low: float | None = None
    high: float | None = None
    """95 % interval of what was found, where there is one."""
    cost: float | None = None
    """Money per 1,000 decisions by which the gate is missed, if it is about money."""
    evidence: str = ""
    """Place in the evaluation report, such as `#value`."""

    @property
    def stops(self) -> bool:
        """Whether this result keeps the model from being promoted.

        Example:
            >>> missed = {"condition": "roc_auc at least 0.7", "found": "0.64", "passed": False}
            >>> [GateResult(**missed, mode=mode).stops for mode in (GateMode.ENFORCED, GateMode.DRY_RUN)]
            [True, False]
        """
        return not self.passed and self.mode is GateMode.ENFORCED
