"""The use case: the one thing a user writes.

It says what the business wants (the decision, the money at stake, the data, the gates of a model), never which
operators run. Reading and checking a folder is `noria.io.catalog`.

Example:
    >>> use_case.title, use_case.business.baseline
    ('Warn customers of a late parcel', 'hour >= 18')
    >>> use_case.model_copy(update={"approval": Approval.MANUAL}).approval.value
    'manual'
    >>> use_case.approval.value  # a use case does not change
    'automatic'
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from noria.core.use_case.business import Business, ClassValue, ConfusionValue, Costs, UnitValue, Value
from noria.core.use_case.features import CategoricalFeature, Features, NumericFeature
from noria.core.use_case.fields import Duration, Email, Frozen, Name, format_duration, parse_duration
from noria.core.use_case.gates import CONDITIONS, Approval, Gate, GateMode, Risk, RiskSeverity
from noria.core.use_case.metric_catalog import MetricName, SearchMetric
from noria.core.use_case.monitoring import DriftPolicy, Monitoring, RetrainPolicy, Schedule
from noria.core.use_case.rollout import GuardPolicy, JudgePolicy, RolloutMode, RolloutPolicy, StopPolicy
from noria.core.use_case.serving import InputPolicy, Serving
from noria.core.use_case.sources import FileSource, Privacy, Source, SqlSource
from noria.core.use_case.target import DEFAULT_TASK, Label, Task
from noria.core.use_case.training import CandidateName, Engine, Split, SplitBy, Training

__all__ = [
    "CONDITIONS",
    "DEFAULT_TASK",
    "Approval",
    "Business",
    "CandidateName",
    "CategoricalFeature",
    "ClassValue",
    "ConfusionValue",
    "Costs",
    "DriftPolicy",
    "Duration",
    "Engine",
    "Features",
    "FileSource",
    "Frozen",
    "Gate",
    "GateMode",
    "GuardPolicy",
    "InputPolicy",
    "JudgePolicy",
    "Label",
    "MetricName",
    "Monitoring",
    "NumericFeature",
    "Privacy",
    "RetrainPolicy",
    "Risk",
    "RiskSeverity",
    "RolloutMode",
    "RolloutPolicy",
    "Schedule",
    "SearchMetric",
    "Serving",
    "Source",
    "Split",
    "SplitBy",
    "SqlSource",
    "StopPolicy",
    "Task",
    "Training",
    "UnitValue",
    "UseCase",
    "Value",
    "format_duration",
    "json_schema",
    "parse_duration",
]


def _of_one_line(text: str) -> str:
    """Subjects of mails hold it, and they have one line."""
    if len(text.strip().splitlines()) > 1:
        raise ValueError("expected one line")
    return text.strip()


class UseCase(Frozen):
    """One use case: a folder `use_cases/<name>/` with a `use_case.yaml`."""

    name: Name
    """Folder, dbt suffix, DAG prefix, URL segment and registered model."""
    title: Annotated[str, AfterValidator(_of_one_line)]
    """One line: what the business gets."""
    owner: Email
    """E-mail address of the responsible person or team."""
    task: Task
    """What the model predicts."""
    entity: Name
    """Column that identifies what is predicted."""
    event_time: Name
    """Column with the time the prediction is about."""
    known_before: Duration = timedelta(0)
    """A feature may use only what was known this long before `event_time`."""
    label: Label
    """The label, and when it is known."""
    features: Features
    """Features of the model."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """Where raw data comes from."""
    privacy: dict[Name, Privacy] = Field(default={})
    """How to protect raw columns that can identify a person or a thing."""
    business: Business
    """The decision, and the money at stake."""
    schedule: Schedule
    """When data, training and monitoring run."""
    training: Training = Training()
    """Search and training settings."""
    segments: tuple[Name, ...] = ()
    """Categorical features; metrics, gates and drift are also computed per value of each."""
    protected: tuple[Name, ...] = ()
    """Categorical features whose groups are compared for fairness."""
    risks: tuple[Risk, ...] = ()
    """What may go wrong, and its mitigation; part of the model card."""
    gates: tuple[Gate, ...] = ()
    """Conditions that a model must meet before it may be promoted."""
    approval: Approval = Approval.AUTOMATIC
    """Approval of a model whose gates passed: by a person, or automatic."""
    rollout: RolloutPolicy | None = None
    """How a promoted version takes over: in steps, beside the champion; null for at once."""
    serving: Serving = Serving()
    """Limits of requests, and how to handle values that are out of distribution."""
    monitoring: Monitoring
    """Receivers of the reports, and limits of drift."""


def json_schema() -> dict[str, Any]:
    """JSON Schema of `use_case.yaml`, for editors.

    Example:
        >>> json_schema()["properties"]["owner"]["description"]
        'E-mail address of the responsible person or team.'
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **UseCase.model_json_schema()}
