"""The encoder's columns as closures, for a single row: a request is encoded in microseconds, and most of them were calls.

Neighbours of one kind become one step, with all that is fixed bound beforehand. The arithmetic is that of
`noria.core.model.encoder_columns`, value for value and in the same order, so that one row and many give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noria.core.model.encoder_columns import Column, LookupColumn, NumericColumn

Step = Callable[[Mapping[str, Any], list[float]], None]
"""Appends the encoding of some columns of a row; a name that is not there is missing."""
_NAN = math.nan


def row_steps(columns: Iterable[Column]) -> tuple[Step, ...]:
    """Steps that, one after the other, encode a row by all columns."""
    return tuple(_steps(columns))


def _steps(columns: Iterable[Column]) -> Iterator[Step]:
    for kind, alike in groupby(columns, _kind):
        some: Any = list(alike)
        if kind == "plain":
            yield _plain([column.name for column in some])
        elif kind == "numeric":
            yield _numeric(some)
        elif kind == "lookup":
            yield _lookup(some)
        else:
            yield from (column.encode_from for column in some)


def _kind(column: Column) -> str:
    if column.kind != "numeric":
        return column.kind
    return "plain" if (column.center, column.scale, column.missing) == (0.0, 1.0, None) else "numeric"


def _plain(names: list[str]) -> Step:
    def step(row: Mapping[str, Any], into: list[float]) -> None:
        get = row.get
        into += [_NAN if (value := get(name)) is None else value for name in names]

    return step


def _numeric(columns: list[NumericColumn]) -> Step:
    facts = [
        (column.name, column.center, column.scale, _NAN if column.missing is None else column.missing) for column in columns
    ]

    def step(row: Mapping[str, Any], into: list[float]) -> None:
        get = row.get
        into += [
            missing if (value := get(name)) is None or value != value else (value - center) / scale  # noqa: PLR0124
            for name, center, scale, missing in facts
        ]

    return step


def _lookup(columns: list[LookupColumn]) -> Step:
    facts = [
        (
            column.name,
            column.values.get,
            _NAN if column.unseen is None else column.unseen,
            _NAN if column.missing is None else column.missing,
        )
        for column in columns
    ]

    def step(row: Mapping[str, Any], into: list[float]) -> None:
        get = row.get
        into += [
            find(value, unseen) if isinstance(value := get(name), str) else missing for name, find, unseen, missing in facts
        ]

    return step
