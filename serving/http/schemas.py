"""Types of requests and responses; the API documentation is made from them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from noria.core.model.decision import DecisionPolicy
from noria.core.model.signature import Field as SignatureField
from noria.core.use_case import Task, Value
from serving.models.served_model import Origin, ServedModel


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class WarningReport(_Schema):
    """A value that the version can read and rarely saw in training."""

    field: str
    """The field."""
    found: str | float | None
    """Value sent; null if missing."""
    expected: str
    """Values seen in training."""


class ReasonReport(_Schema):
    """Contribution of one field to a prediction."""

    field: str
    """The field."""
    value: float | str | None
    """Value sent; null if missing."""
    contribution: float | None
    """Its exact share (SHAP value) of the score before calibration: log odds, or the label's unit; null for the baseline."""
    text: str
    """The same in words."""


class _Prediction(_Schema):
    """The answer for one instance; `score` and `decision` are there for every task."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    """Identifies the prediction in the log; UUID version 7."""
    version: str
    """The version that answered; "0" is the baseline. While a new version is rolled out, two may answer one request."""
    warnings: tuple[WarningReport, ...] = ()
    """Values that the version rarely saw in training; left out if there are none."""
    reasons: tuple[ReasonReport, ...] = ()
    """Largest contributions, the largest first; left out unless asked for with `?reasons=`."""


class YesNoPrediction(_Prediction):
    """The answer for one instance of a binary classification."""

    score: float = Field(ge=0, le=1)
    """Probability of the positive class."""
    decision: bool
    """Whether to act: the score is at least the threshold."""
    threshold: float
    """The version's decision threshold, chosen by the value of each outcome."""


class ClassPrediction(_Prediction):
    """The answer for one instance of a multiclass use case."""

    score: float = Field(ge=0, le=1)
    """Probability of the class decided on; another class may be likelier and worth less."""
    decision: str
    """The class to act on: the one that is worth most on average, given the probabilities."""
    probabilities: dict[str, float]
    """Probability of each class; they sum to 1."""


class NumberPrediction(_Prediction):
    """The answer for one instance of a regression."""

    score: float
    """The number predicted, in the label's unit."""
    decision: float
    """The number to act on: the score itself."""


class FieldReport(_Schema):
    """One thing that is wrong in a request."""

    where: str
    """Place in the body, such as `instances[0].distance`."""
    found: str
    """Value there."""
    expected: str
    """Description of a valid value."""
    suggestion: str = ""
    """What to send instead; empty if that is not clear."""


class ProblemReport(_Schema):
    """Problem report of a request that was not answered (RFC 9457, application/problem+json)."""

    type: str
    """Names the kind of problem; stable."""
    title: str
    """The kind of problem in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong this time, and what to do."""
    errors: tuple[FieldReport, ...] = ()
    """Every field that is wrong, at most a hundred."""
    instance: str = ""
    """Identifies the request: `urn:noria:request:` and the answer's X-Request-Id."""


class ServingVersion(_Schema):
    """The version that answers now."""

    version: str
    """ "0" is the baseline."""
    kind: str
    """`rule`, or the kind of model."""
    since: datetime
    """When it began to answer."""
    as_of: datetime | None
    """Nothing that became known after this instant was used to train it."""
    origin: Origin
    """`registry`; `disk`: the last good one, loaded without the registry; or `rule`: the baseline."""
    digest: str
    """SHA-256 of its bundle's manifest."""
    threshold: float | None
    """Binary classification: decide yes if the score is at least this."""
    payoffs: dict[str, dict[str, float]]
    """Multiclass: money by the class decided on, then by the class that came, by which this version decides. Empty if it
    decides for the likeliest class, as the baseline does."""
    metrics: dict[str, float]
    """Metrics of its evaluation."""


class UseCaseReport(_Schema):
    """Description of a use case: what it is, what it expects, and what serves now."""

    use_case: str
    """Its name in URLs."""
    title: str
    """What the business gets."""
    owner: str
    """Who answers for it."""
    task: Task
    """Whether the answer is yes or no, one of several classes, or a number."""
    decision: str
    """What is done when the decision is yes; what is done with the class, or with the number."""
    label: str
    """What is predicted: the column that says later what happened."""
    classes: tuple[str, ...]
    """Multiclass: every class there is; the first is what is assumed when nothing is done."""
    currency: str
    """ISO 4217 code of all money here."""
    value: Value
    """Money per outcome, as the use case has it now."""
    entity: str
    """Optional field of an instance: your name for what is predicted. It is logged, and not read by the model."""
    expects: tuple[SignatureField, ...]
    """The fields of an instance."""
    serves: ServingVersion
    """The version that answers."""
    predict: str
    """Where to send instances."""


class UseCaseList(_Schema):
    """All use cases."""

    use_cases: tuple[UseCaseReport, ...]
    """By name."""


def report(model: ServedModel) -> UseCaseReport:
    """Report of a use case."""
    use_case, manifest = model.use_case, model.predictor.manifest
    return UseCaseReport(
        use_case=model.name,
        title=use_case.title,
        owner=use_case.owner,
        task=use_case.task,
        decision=use_case.business.decision,
        label=use_case.label.column,
        classes=use_case.label.classes,
        currency=use_case.business.currency,
        value=use_case.business.value,
        entity=use_case.entity,
        expects=tuple(model.fields.values()),
        serves=ServingVersion(
            version=model.version,
            kind=f"rule: {manifest.rule}" if manifest.kind == "rule" else manifest.candidate,
            since=model.since,
            as_of=manifest.provenance.as_of if manifest.provenance else None,
            origin=model.origin,
            digest=model.digest,
            threshold=manifest.threshold if manifest.task.is_binary else None,
            payoffs=_payoffs(model.policy),
            metrics=manifest.metrics,
        ),
        predict=f"/v1/{model.name}/predict",
    )


def _payoffs(policy: DecisionPolicy) -> dict[str, dict[str, float]]:
    return {
        decided: dict(zip(policy.classes, row, strict=True))
        for decided, row in zip(policy.classes, policy.payoffs, strict=False)  # empty for the baseline
    }
