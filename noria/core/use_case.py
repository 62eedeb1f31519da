"""The use case: the one thing a user writes.

It says what the business wants (the decision, the money at stake, the data, the promises a model must keep), never which
operators run. Reading and checking a folder is `noria.core.catalog`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

from noria.core.interval import Cadence, Interval

_DURATION = re.compile(r"^\s*(\d+)\s*([smhdw])\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> object:
    """Read `90s`, `2m`, `2h`, `30d` or `1w` as a timedelta; leaves other types to pydantic."""
    if not isinstance(value, str):
        if isinstance(value, timedelta):
            return value
        raise ValueError("write a duration as a number and a unit: 90s, 2m, 2h, 30d or 1w")
    match = _DURATION.match(value)
    if match is None:
        raise ValueError("write a duration as a number and a unit: 90s, 2m, 2h, 30d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(value: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    seconds = int(value.total_seconds())
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _named(value: object) -> object:
    """Let a list of names, or a name without detail, stand for a mapping of names to details."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if detail is None else detail for name, detail in value.items()}
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Frozen(BaseModel):
    """Base of everything a user writes: immutable, and a field that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Task(StrEnum):
    """What a model predicts."""

    BINARY_CLASSIFICATION = "binary_classification"


class Label(Frozen):
    """What is to be predicted, and when it is known."""

    model: Name
    """dbt model that holds the label, one row per entity."""
    column: Name
    """Column of that model; null where there is no label (a cancelled flight)."""
    positive: bool | int | str = True
    """The value of the column that counts as the positive class."""
    available_after: Duration
    """How long after `event_time` a label may be trusted to have arrived."""


class NumericFeature(Frozen):
    """A number, possibly missing."""

    description: str = ""
    """One line for the people who send it."""
    unit: str = ""
    """Unit of measure, such as `minutes`."""
    range: tuple[float, float] | None = None
    """Lowest and highest plausible value; documented in the REST schema."""
    required: bool = False
    """Refuse a request that leaves it out; otherwise a missing value is encoded as such."""


class CategoricalFeature(Frozen):
    """A text out of a set that training learns, possibly missing or unseen."""

    description: str = ""
    """One line for the people who send it."""
    required: bool = False
    """Refuse a request that leaves it out; otherwise a missing value is encoded as such."""


class Features(Frozen):
    """What the model may look at."""

    model: Name
    """dbt model that holds the features, one row per entity."""
    lookback: Duration = timedelta(0)
    """How far before an interval its features look into raw data (the longest rolling window)."""
    numeric: Annotated[
        dict[Name, NumericFeature],
        BeforeValidator(_named, json_schema_input_type=dict[Name, NumericFeature | None] | list[Name]),
    ] = {}
    """Numbers, by column name."""
    categorical: Annotated[
        dict[Name, CategoricalFeature],
        BeforeValidator(_named, json_schema_input_type=dict[Name, CategoricalFeature | None] | list[Name]),
    ] = {}
    """Texts, by column name."""

    @property
    def names(self) -> tuple[str, ...]:
        """All features: numeric first, each kind in the order it is written."""
        return (*self.numeric, *self.categorical)


class FileSource(Frozen):
    """CSV or Parquet files: in the use case's folder, elsewhere on disk, or inside an installed Python package."""

    name: Name
    """Table name in the raw schema."""
    kind: Literal["files"]
    """What the source is; decides its other fields."""
    path: str
    """File or glob, relative to the use case's folder; `package:NAME/PATH` reads from an installed package."""
    event_time: Name | None = None
    """Column that places a row in time; without it the table is a reference table, replaced whole."""
    key: tuple[Name, ...] = ()
    """Columns that identify a row; a repeated key is an error."""


class SqlSource(Frozen):
    """A query on another database."""

    name: Name
    """Table name in the raw schema."""
    kind: Literal["sql"]
    """What the source is; decides its other fields."""
    connection: Name
    """Which connection; its URL comes from the setting NORIA_SOURCE_<CONNECTION>_URL."""
    query: str
    """The query; `:start` and `:end` are bound to the interval when `event_time` is set."""
    event_time: Name | None = None
    """Column that places a row in time; without it the table is a reference table, replaced whole."""
    key: tuple[Name, ...] = ()
    """Columns that identify a row; a repeated key is an error."""


Source = Annotated[FileSource | SqlSource, Field(discriminator="kind")]


class Privacy(StrEnum):
    """What becomes of a raw column that can name a person or a thing."""

    KEEP = "keep"
    PSEUDONYMISE = "pseudonymise"
    DROP = "drop"


class ConfusionValue(Frozen):
    """Money per outcome of one decision, in the use case's currency."""

    true_positive: float
    """We acted and it happened."""
    false_positive: float
    """We acted and it did not happen."""
    false_negative: float
    """We did nothing and it happened."""
    true_negative: float
    """We did nothing and it did not happen."""


class Costs(Frozen):
    """What it costs to run, in the use case's currency."""

    monthly: float = Field(default=0.0, ge=0)
    """Fixed running cost of a month."""
    training_run: float = Field(default=0.0, ge=0)
    """One training run."""
    per_1000_predictions: float = Field(default=0.0, ge=0)
    """A thousand predictions."""


class Business(Frozen):
    """The decision, and the money at stake."""

    decision: str
    """What is done when the model says yes."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    """ISO 4217 code."""
    value: ConfusionValue
    """Money per outcome."""
    baseline: str
    """Today's rule over features, such as `scheduled_hour >= 18`; served as version 0 until a model beats it."""
    costs: Costs = Costs()
    """What it costs to run."""


class Schedule(Frozen):
    """When things run, in UTC."""

    data: Cadence
    """How event time is cut into intervals of data, scores and monitoring."""
    train: str
    """Cron expression of planned training."""
    start: date
    """First day of data."""
    end: date | None = None
    """Day after the last day of data, for a data set that has ended; null for one that goes on."""

    @property
    def span(self) -> Interval | None:
        """The whole time of a data set that has ended; None for one that goes on."""
        if self.end is None:
            return None
        return Interval(_midnight(self.start), _midnight(self.end))


class Training(Frozen):
    """How hard to look for a model."""

    candidates: tuple[Literal["linear", "gradient_boosting"], ...] = ("linear", "gradient_boosting")
    """Kinds of model to try."""
    trials: int = Field(default=40, ge=1)
    """Trials in all, over all workers."""
    minutes: float = Field(default=5.0, gt=0)
    """Time limit of the search."""
    workers: int = Field(default=2, ge=1, le=16)
    """Parallel search tasks on one shared study."""
    metric: Literal["average_precision", "roc_auc", "log_loss"] = "average_precision"
    """What the search optimises."""
    seed: int = 7
    """Seed of everything that draws at random."""
    test_window: Duration = timedelta(days=30)
    """Length of the last slice of time, touched once, by the final evaluation."""
    min_labels: int = Field(default=1000, ge=10)
    """Fewest labelled rows to train on."""


class GateMode(StrEnum):
    """What a broken promise does."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ENFORCED = "enforced"


MetricName = Literal["roc_auc", "average_precision", "log_loss", "brier", "precision", "recall", "f1", "value"]


class Gate(Frozen):
    """One promise that a model must keep on the last slice of time before it may be promoted; set exactly one condition."""

    metric: MetricName
    """What is measured; `value` is money per 1,000 decisions."""
    at_least: float | None = None
    """Lowest allowed value."""
    at_most: float | None = None
    """Highest allowed value."""
    better_than: Literal["baseline", "champion"] | None = None
    """Must beat the rule, or the serving model, on the same rows."""
    worst_segment_at_least: float | None = None
    """Lowest allowed value in any judged segment."""
    mode: GateMode = GateMode.ENFORCED
    """off, dry_run (reports only) or enforced (stops promotion)."""

    @property
    def promise(self) -> str:
        """The condition in words."""
        if self.at_least is not None:
            return f"{self.metric} at least {self.at_least:g}"
        if self.at_most is not None:
            return f"{self.metric} at most {self.at_most:g}"
        if self.worst_segment_at_least is not None:
            return f"{self.metric} at least {self.worst_segment_at_least:g} in every judged segment"
        return f"{self.metric} better than the {self.better_than}"


class Approval(StrEnum):
    """Who says yes to a model that keeps every promise."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class DriftPolicy(Frozen):
    """When a change in the data counts as drift: an effect size and a least number of rows; sample size decides nothing."""

    effect_size: float = Field(default=0.1, gt=0)
    """Distance between reference and current (Jensen-Shannon distance, 0 to 1) above which a feature has drifted."""
    min_rows: int = Field(default=500, ge=1)
    """Fewest rows for a verdict."""
    share_of_features: float = Field(default=0.3, gt=0, le=1)
    """Share of features that must drift for the data to count as drifted."""
    metric_drop: float = Field(default=0.05, gt=0)
    """Drop of ROC AUC against the model's own evaluation that counts as a loss of quality."""


class RetrainPolicy(Frozen):
    """When drift wakes training."""

    after: Annotated[str, StringConstraints(pattern=r"^\d+ of \d+$")] = "2 of 3"
    """`k of n`: at least k of the last n verdicts say drift or loss of quality."""
    cooldown: Duration = timedelta(days=7)
    """Shortest event time between two retrain requests."""
    min_new_labels: int = Field(default=500, ge=0)
    """Labels that must have arrived since the serving model was trained."""

    @property
    def needed(self) -> int:
        """k of `k of n`."""
        return int(self.after.split(" of ")[0])

    @property
    def window(self) -> int:
        """n of `k of n`."""
        return int(self.after.split(" of ")[1])


class Monitoring(Frozen):
    """Who is told, and what counts as drift."""

    email: tuple[Email, ...] = Field(min_length=1)
    """Who gets the reports."""
    drift: DriftPolicy = DriftPolicy()
    """What counts as drift."""
    retrain: RetrainPolicy = RetrainPolicy()
    """When drift wakes training."""


class UseCase(Frozen):
    """One use case: a folder `use_cases/<name>/` with a `use_case.yaml`."""

    name: Name
    """Folder, dbt suffix, DAG prefix, URL segment and registered model."""
    title: str
    """One line: what the business gets."""
    owner: Email
    """Who answers for it."""
    task: Task
    """What the model predicts."""
    entity: Name
    """Column that identifies what is predicted."""
    event_time: Name
    """Column with the time the prediction is about."""
    known_before: Duration = timedelta(0)
    """A feature may use only what was known this long before `event_time`."""
    label: Label
    """What is to be predicted."""
    features: Features
    """What the model may look at."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """Where raw data comes from."""
    privacy: dict[Name, Privacy] = {}
    """Raw columns that can name a person or a thing."""
    business: Business
    """The decision, and the money at stake."""
    schedule: Schedule
    """When things run."""
    training: Training = Training()
    """How hard to look for a model."""
    segments: tuple[Name, ...] = ()
    """Categorical features by which metrics, gates and drift are also taken."""
    gates: tuple[Gate, ...] = ()
    """The promises a model must keep."""
    approval: Approval = Approval.AUTOMATIC
    """Who says yes to a model that keeps every promise."""
    monitoring: Monitoring
    """Who is told, and what counts as drift."""


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def json_schema() -> dict[str, Any]:
    """JSON Schema of `use_case.yaml`, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **UseCase.model_json_schema()}
