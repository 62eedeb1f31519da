"""Answers of Noria, typed. Fields that a newer server has added are left out, so that an older client goes on working."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

Json = Mapping[str, Any]
"""An object of JSON, as it came."""


@dataclass(frozen=True)
class Reason:
    """One field's part in a prediction.

    Attributes:
        contribution: how far it moved the prediction; None for a rule.
        text: the same for people.

    Example:
        >>> reason = noria.predict("parcels", [{"hour": 19}], reasons=1)[0].reasons[0]
        >>> reason.field, reason.value, reason.contribution  # version 0 is a rule
        ('hour', 19.0, None)
    """

    field: str
    value: float | str | None
    contribution: float | None
    text: str


@dataclass(frozen=True)
class PredictionWarning:
    """A value that is out of distribution: rarely or never seen in training.

    Example:
        >>> noria.predict("parcels", [{"hour": 19, "weight": 400}])[0].warnings
        (PredictionWarning(field='weight', found=400.0, expected='0 to 70'),)
    """

    field: str
    found: float | str | None
    expected: str


@dataclass(frozen=True)
class Prediction:
    """The answer for one instance.

    Attributes:
        id: of the prediction; send it back with `feedback`.
        score: probability of yes or of the class decided on, or the number itself.
        decision: yes or no, a class, or the number.
        version: which version answered; "0" is the baseline.
        threshold: yes from this score on; None but for yes and no.
        probabilities: of each class; empty but for several classes.
        warnings: values that are out of distribution.
        reasons: the fields that moved the prediction most, where they were asked for.

    Example:
        >>> one = noria.predict("parcels", [{"hour": 19}])[0]
        >>> one.decision, one.score, one.threshold, one.version
        (True, 1.0, 0.5, '0')
    """

    id: str
    score: float
    decision: bool | str | float
    version: str
    threshold: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[PredictionWarning, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Predictions(Sequence[Prediction]):
    """The answers, in the order of what was asked.

    Attributes:
        version: the champion when they were made; a prediction says itself which version made it.
        request_ids: one for each request that was sent: a long list is sent in several.
        logged: whether all of them are in the log; a server may be set to go on answering while its journal is full.

    Example:
        >>> found = noria.predict("parcels", [{"hour": hour} for hour in (9, 17, 19)])
        >>> len(found), found[2].decision, [one.decision for one in found[:2]]
        (3, True, [False, False])
        >>> found.logged, len(found.request_ids)
        (True, 1)
    """

    use_case: str
    version: str
    items: tuple[Prediction, ...]
    request_ids: tuple[str, ...]
    logged: bool = True

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Prediction, ...]: ...

    def __getitem__(self, index: int | slice) -> Prediction | tuple[Prediction, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)


@dataclass(frozen=True)
class Feedback:
    """Feedback on one prediction: what came true.

    Attributes:
        label: true or false, a class, or a number.
        id: of the prediction; or else
        entity: your name for what was predicted, and
        event_time: which of its events, if it has several.
        at: when it was known; None for now.

    Example:
        >>> one = noria.predict("parcels", [{"hour": 19}])[0]
        >>> received = noria.feedback("parcels", [Feedback(label=False, id=one.id), Feedback(label=True, entity="P17")])
        >>> received.use_case
        'parcels'
    """

    label: bool | str | float
    id: str | None = None
    entity: str | int | None = None
    event_time: datetime | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Received:
    """Feedback that is kept.

    Attributes:
        ids: one per item of feedback, in the order they were sent.

    Example:
        >>> received = noria.feedback("parcels", [Feedback(label=True, entity="P17"), Feedback(label=False, entity="P18")])
        >>> len(received.ids), len(received.request_ids)
        (2, 1)
    """

    use_case: str
    ids: tuple[str, ...]
    request_ids: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """One field of an instance.

    Attributes:
        kind: numeric or categorical.

    Example:
        >>> weight = noria.about("parcels").expects[0]
        >>> weight.name, weight.kind, weight.unit, weight.maximum, weight.required
        ('weight', 'numeric', 'kg', 70.0, False)
    """

    name: str
    kind: str
    description: str = ""
    unit: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class About:
    """Description of a use case: what it is, what it expects, and which version answers.

    Attributes:
        task: binary_classification, multiclass or regression.
        decision: what is done with a prediction.
        entity: the optional field of an instance that names what is predicted.
        version: which answers; "0" is the baseline.
        threshold: yes from this score on; None but for yes and no.

    Example:
        >>> about = noria.about("parcels")
        >>> about.task, about.entity, about.version, about.threshold
        ('binary_classification', 'parcel_id', '0', 0.5)
    """

    use_case: str
    title: str
    owner: str
    task: str
    decision: str
    entity: str
    expects: tuple[Expected, ...]
    version: str
    threshold: float | None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong in a request.

    Attributes:
        where: place in what was sent, such as ``instances[0].distance``.
        suggestion: what to send instead, where that is clear.

    Example:
        >>> print(FieldError("instances[0].hour", "nothing", "a value", "add hour"))
        instances[0].hour: nothing, expected a value (add hour)
    """

    where: str
    found: str
    expected: str
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.found}, expected {self.expected}"
        return f"{text} ({self.suggestion})" if self.suggestion else text


def prediction_of(content: Json) -> Prediction:
    """Raises KeyError or TypeError where it is none."""
    return Prediction(
        id=content["id"],
        score=content["score"],
        decision=content["decision"],
        version=content["version"],
        threshold=content.get("threshold"),
        probabilities=dict(content.get("probabilities") or {}),
        warnings=tuple(
            PredictionWarning(item["field"], item["found"], item["expected"]) for item in content.get("warnings") or ()
        ),
        reasons=tuple(
            Reason(item["field"], item["value"], item["contribution"], item["text"]) for item in content.get("reasons") or ()
        ),
    )


def about_of(content: Json) -> About:
    """Raises KeyError or TypeError where it is no description of a use case."""
    return About(
        use_case=content["use_case"],
        title=content["title"],
        owner=content["owner"],
        task=content["task"],
        decision=content["decision"],
        entity=content["entity"],
        expects=tuple(_expected(item) for item in content["expects"]),
        version=content["serves"]["version"],
        threshold=content["serves"].get("threshold"),
        classes=tuple(content.get("classes") or ()),
    )


def _expected(content: Json) -> Expected:
    return Expected(
        name=content["name"],
        kind=content["kind"],
        description=content.get("description", ""),
        unit=content.get("unit", ""),
        required=content.get("required", False),
        minimum=content.get("minimum"),
        maximum=content.get("maximum"),
        categories=tuple(content.get("categories") or ()),
    )
