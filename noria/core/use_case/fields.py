"""Types of a use case's fields: names, addresses, durations."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints

_DURATION = re.compile(r"^\s*(\d+)\s*([smhdw])\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> object:
    """Read `90s`, `2m`, `2h`, `30d` or `1w` as a timedelta; a timedelta stays as it is.

    Raises:
        ValueError: it is something else.

    Example:
        >>> parse_duration("90m")
        datetime.timedelta(seconds=5400)
    """
    if not isinstance(value, str):
        if isinstance(value, timedelta):
            return value
        raise ValueError("write a duration as a number and a unit: 90s, 2m, 2h, 30d or 1w")
    match = _DURATION.match(value)
    if match is None:
        raise ValueError("write a duration as a number and a unit: 90s, 2m, 2h, 30d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(value: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back.

    Example:
        >>> format_duration(timedelta(days=14)), format_duration(timedelta(minutes=90))
        ('2w', '90m')
    """
    seconds = int(value.total_seconds())
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def named(value: object) -> object:
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

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
