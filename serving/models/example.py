"""Example requests for the documentation; they work when they are pasted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from noria.core.model.signature import Field, Kind
from serving.models.served_model import ServedModel


def example_request(model: ServedModel) -> dict[str, Any]:
    """One instance with every field that the version reads, and an entity."""
    instance = example_instance(model.predictor.manifest.signature.fields)
    return {"instances": [{model.use_case.entity: "example-1", **instance}]}


def example_instance(fields: Iterable[Field]) -> dict[str, Any]:
    """A plausible value for every field."""
    return {field.name: _value(field) for field in fields}


def _value(field: Field) -> float | str:
    if field.example is not None:
        return field.example
    if field.kind is Kind.CATEGORICAL:
        return field.categories[0] if field.categories else "A"
    low, high = field.minimum, field.maximum
    middle = (low + high) / 2 if low is not None and high is not None else low if low is not None else high or 0.0
    return int(middle) if middle == int(middle) else middle
