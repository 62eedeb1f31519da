"""Reasons in words: the field as the use case describes it, its value, its direction."""

from __future__ import annotations

import math
import re
from typing import Any

from noria.core.base.formatting import ascii_minus, number, plain_name
from noria.core.model.signature import Field, Kind
from noria.core.use_case import UseCase

_FIRST_CLAUSE = re.compile(r"^[^,;:(]+")
_WORD = re.compile(r"[a-z]+")
_PLURAL = ("children", "people")
_NO_PLURAL = ("ss", "us", "is")
_LEANING = ("the same", "of these", "of those")
"""Beginnings of a description that refers to the one before it, and means nothing alone."""


def finding(field: Field, value: Any, *, known: bool = True) -> str:
    """Value of a field in words, such as `Age of the plane is 24 years`.

    Args:
        field: described in the use case's own words.
        value: as it was sent; None if it is missing.
        known: whether training saw the value.
    """
    name = name_of(field)
    are = "are" if _is_plural(name) else "is"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return f"{name} {are} missing"
    if field.kind is Kind.CATEGORICAL or isinstance(value, str):
        return f"{name} {are} {value}" + ("" if known else ", which training never saw")
    unit = "" if not field.unit or _has_unit(name, field.unit) else f" {field.unit}"
    return f"{name} {are} {_number(value)}{unit}"


def direction(use_case: UseCase, contribution: float, decided: str = "") -> str:
    """Direction and strength of a field, such as `speaks for "arrived late" (+0.62)`.

    Args:
        use_case: names the label.
        contribution: log odds, log weight, or a number in the label's unit.
        decided: multiclass: the class decided on.
    """
    if use_case.task.is_regression:
        unit = f" {use_case.label.unit}" if use_case.label.unit else ""
        moves = "raises" if contribution > 0 else "lowers"
        return f'{moves} "{plain_name(use_case.label.column)}" by {_number(abs(contribution))}{unit}'
    side = "for" if contribution > 0 else "against"
    strength = f"{contribution:+.2f}" if abs(contribution) >= 0.005 else f"{contribution:+.0e}"
    return f'speaks {side} "{decided or what_is_predicted(use_case)}" ({strength})'


def what_is_predicted(use_case: UseCase) -> str:
    """Meaning of a yes, such as `arrived late`."""
    label = use_case.label
    return plain_name(label.column) if label.positive in (True, 1) else f"{plain_name(label.column)} {label.positive}"


def name_of(field: Field) -> str:
    """The first clause of the field's description; the field's name if the clause means nothing alone."""
    clause = _FIRST_CLAUSE.match(field.description)
    words = clause[0].strip() if clause else ""
    if not words or words.lower().startswith(_LEANING):
        words = plain_name(field.name)
    return words[0].upper() + words[1:]


def _number(value: float) -> str:
    """A number with a hyphen for a minus, as answers over REST have always had."""
    return ascii_minus(number(value))


def _is_plural(name: str) -> bool:
    """Whether the first word of a name, such as `Flights of the carrier`, is a plural."""
    first = name.split(" ", 1)[0].lower()
    return first in _PLURAL or (len(first) > 3 and first.endswith("s") and not first.endswith(_NO_PLURAL))


def _has_unit(name: str, unit: str) -> bool:
    """Whether the name has the unit already, as `Share of arrivals` in shares, or the unit is none, such as `yes is 1`."""
    if any(character.isdigit() for character in unit):
        return True
    words = {word.rstrip("s") for word in _WORD.findall(name.lower())}
    return unit.lower().rstrip("s") in words
