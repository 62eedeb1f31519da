"""Signature of a model: names, kinds, ranges and known categories."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from noria.core.base.errors import InstanceError, Problem


class Kind(StrEnum):
    """How a field is read."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Field(BaseModel):
    """One feature that a model reads.

    Attributes:
        name: column name.
        kind: number or text.
        description: one line for the people who send it.
        unit: unit of measure; empty where there is none.
        required: refuse a row without it; otherwise a missing value is encoded as such.
        minimum, maximum: what training saw (or the use case declares); None for texts.
        categories: what training saw, most frequent first; empty for numbers and for version 0.
        example: a value from the training data, for documentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    example: float | str | None = None

    def problem(self, value: object) -> str | None:
        """Description of the right value; None if the value is right."""
        if value is None:
            return "a value (it is required)" if self.required else None
        or_null = "" if self.required else " or null"
        if self.kind is Kind.CATEGORICAL:
            return None if isinstance(value, str) else f"a string{or_null}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"a number{or_null}"
        return None if math.isfinite(value) else f"a finite number{or_null}"


class Signature(BaseModel):
    """The fields a model reads, in the order of its encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in order."""
        return tuple(field.name for field in self.fields)

    def check(self, instance: Mapping[str, Any], where: str = "instance") -> None:
        """Check one row as an app sends it.

        Raises:
            InstanceError: any field is wrong, missing though required, or not known; lists all of them.
        """
        if problems := list(self._problems(instance, where)):
            raise InstanceError(problems)

    def _problems(self, instance: Mapping[str, Any], where: str) -> Iterator[Problem]:
        for field in self.fields:
            value = instance.get(field.name)
            if expected := field.problem(value):
                found = "nothing" if value is None else repr(value)[:60]
                yield Problem(f"{where}.{field.name}", f"found {found}", f"expected {expected}")
        for name in instance.keys() - set(self.names):
            close = difflib.get_close_matches(name, self.names, 1)
            hint = f"did you mean {close[0]}?" if close else "remove it"
            yield Problem(f"{where}.{name}", "is not a field of this model", hint)
