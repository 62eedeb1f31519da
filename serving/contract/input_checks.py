"""Checks of values that a version can read and rarely saw in training: unseen texts, numbers out of range, missing fields.

`serving` in use_case.yaml sets the policy of each: accept, warn in the answer, or refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from noria.core.model.bundle import Manifest
from noria.core.model.encoder_columns import LookupColumn, OneHotColumn
from noria.core.model.signature import Field, Kind
from noria.core.use_case import InputPolicy, Serving
from serving.contract.errors import FieldProblem

_SHOWN_CATEGORIES = 20
_Check = Callable[[Any], str | None]


class InputConcern(msgspec.Struct, frozen=True, gc=False):
    """One value that the version rarely saw in training.

    Attributes:
        field: name.
        found: value sent; None if missing.
        expected: values seen in training.
    """

    field: str
    found: str | float | None
    expected: str


class InputChecks:
    """Checks of the instances of one version; made once."""

    def __init__(self, serving: Serving, fields: Mapping[str, Field], manifest: Manifest) -> None:
        read = {field.name for field in manifest.signature.fields}  # a field that is not read needs no check
        self._fields = tuple(
            (name, *checks)
            for name, field in fields.items()
            if name in read and any(checks := _checks(serving, field, _known(manifest, field)))
        )

    def find(self, features: Mapping[str, Any]) -> list[tuple[InputPolicy, InputConcern]]:
        """Unusual values of an instance, each with its policy; empty if there are none."""
        concerns: list[tuple[InputPolicy, InputConcern]] = []
        for name, missing, range_, category in self._fields:
            value = features.get(name)
            if value is None:
                if missing:
                    concerns.append((missing, InputConcern(name, None, "a value")))
            elif range_ is not None:
                policy, low, high = range_
                if not low <= value <= high:
                    concerns.append((policy, InputConcern(name, value, f"{low:g} to {high:g}")))
            elif category is not None:
                policy, known, shown = category
                if value not in known:
                    concerns.append((policy, InputConcern(name, value, shown)))
        return concerns


def problem(where: str, concern: InputConcern) -> FieldProblem:
    """Problem report of a value that the use case refuses."""
    text = "nothing" if concern.found is None else msgspec.json.encode(concern.found).decode()
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return FieldProblem(
        f"{where}.{concern.field}", shown, concern.expected, "the use case refuses what training did not see"
    )


def _checks(serving: Serving, field: Field, known: frozenset[str]) -> tuple[Any, Any, Any]:
    missing = serving.missing if serving.missing is not InputPolicy.ACCEPT else None
    numeric = field.kind is Kind.NUMERIC
    low, high = field.minimum, field.maximum
    ranged = numeric and serving.out_of_range is not InputPolicy.ACCEPT and low is not None and high is not None
    named = not numeric and known and serving.unseen_category is not InputPolicy.ACCEPT
    return (
        missing,
        (serving.out_of_range, low, high) if ranged else None,
        (serving.unseen_category, known, _shown(known)) if named else None,
    )


def _known(manifest: Manifest, field: Field) -> frozenset[str]:
    """Every text that the encoder knows; the signature lists only the most frequent ones."""
    known = set(field.categories)
    for column in manifest.encoder.columns if manifest.encoder else ():
        if column.name == field.name and isinstance(column, OneHotColumn):
            known.update(column.categories)
        elif column.name == field.name and isinstance(column, LookupColumn):
            known.update(column.values)
    return frozenset(known)


def _shown(known: frozenset[str]) -> str:
    more = len(known) - _SHOWN_CATEGORIES
    return ", ".join(sorted(known)[:_SHOWN_CATEGORIES]) + (f" and {more} more" if more > 0 else "")
