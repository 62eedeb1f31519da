"""The decision, and the money at stake."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, StringConstraints, Tag

from noria.core.use_case.fields import Frozen


class ConfusionValue(Frozen):
    """Money per outcome of one decision, in the use case's currency."""

    true_positive: float
    """Money if we acted and it happened."""
    false_positive: float
    """Money if we acted and it did not happen."""
    false_negative: float
    """Money if we did nothing and it happened."""
    true_negative: float
    """Money if we did nothing and it did not happen."""


class UnitValue(Frozen):
    """Money per unit of error of a predicted number, in the use case's currency. Both are losses: 0 or negative."""

    over: float = Field(le=0)
    """Money per unit predicted too high."""
    under: float = Field(le=0)
    """Money per unit predicted too low."""


ClassValue = dict[str, dict[str, float]]
"""Money per outcome of a choice among classes: by the class we decided on, then by the class it turned out to be."""


def _kind_of_value(value: object) -> str:
    """Which task a value is for, by its fields, so that an error speaks of one kind alone."""
    fields = set(value) if isinstance(value, dict) else set()
    if isinstance(value, UnitValue) or fields & {"over", "under"}:
        return "unit"
    if isinstance(value, dict) and fields and all(isinstance(row, dict) for row in value.values()):
        return "classes"
    return "confusion"


Value = Annotated[
    Annotated[ConfusionValue, Tag("confusion")] | Annotated[UnitValue, Tag("unit")] | Annotated[ClassValue, Tag("classes")],
    Discriminator(_kind_of_value),
]


class Costs(Frozen):
    """Running costs, in the use case's currency."""

    monthly: float = Field(default=0.0, ge=0)
    """Fixed cost of a month."""
    training_run: float = Field(default=0.0, ge=0)
    """Cost of one training run."""
    per_1000_predictions: float = Field(default=0.0, ge=0)
    """Cost of 1,000 predictions."""


class Business(Frozen):
    """The decision, and the money at stake."""

    decision: str
    """Action that a prediction leads to: for a yes, for a class, or with a number."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    """ISO 4217 code."""
    value: Value
    """Money per outcome: of a yes or no, of each decided class by each true class, or per unit of error of a number."""
    baseline: str
    """The decision without a model, as an expression over features, such as `scheduled_hour >= 18`, `'late' if wind > 30
    else 'on_time'` or `first(room_price_30d, 95)`; served as version 0 until a model is better."""
    costs: Costs = Costs()
    """Running costs."""
