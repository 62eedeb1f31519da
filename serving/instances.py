"""Reads and checks a request's body; every wrong field is named, in one answer."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from noria.core.errors import InstanceError
from noria.core.signature import Field, Kind
from serving.errors import BodyTooLargeError, FieldProblem, MalformedBodyError
from serving.served_model import ServedModel

MAX_INSTANCES = 1000
MAX_BYTES = 4 * 1024 * 1024
_LARGEST = float(np.finfo(np.float32).max)  # the encoder's numbers end as float32
_EXPECTED_BODY = '{"instances": [{...}, ...]}'


class Instance(NamedTuple):
    """One row to predict.

    Attributes:
        entity: identifies it in the caller's world; logged with the prediction, not read by the model.
        features: what the model reads, as it was sent.
    """

    entity: str | None
    features: dict[str, Any]


def read_instances(body: bytes, model: ServedModel) -> list[Instance]:
    """The instances of a request.

    Raises:
        MalformedBodyError: not JSON, or not of the shape ``{"instances": [...]}``.
        BodyTooLargeError: more than 1,000 instances.
        InstanceError: fields that do not fit the version's signature; lists all of them.
    """
    rows = _rows(_parse(body))
    if problems := [problem for index, row in enumerate(rows) for problem in _problems(index, row, model)]:
        raise InstanceError(problems)
    return [_split(row, model.use_case.entity) for row in rows]


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBodyError(f"the body is not JSON: {error.msg} at {where}; send {_EXPECTED_BODY}") from error
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"the body is not UTF-8: byte {error.start} is wrong; send JSON in UTF-8") from error
    except RecursionError:
        raise MalformedBodyError(f"the body is nested too deeply; send {_EXPECTED_BODY}") from None
    except ValueError as error:  # CPython refuses integers of thousands of digits
        raise MalformedBodyError(
            "the body holds a number of too many digits; send numbers that a double can hold"
        ) from error


def _rows(content: object) -> list[Any]:
    if not isinstance(content, dict) or "instances" not in content:
        raise MalformedBodyError(f"the body has no field instances; send {_EXPECTED_BODY}")
    if unknown := sorted(content.keys() - {"instances"}):
        raise MalformedBodyError(f"{_shown(unknown[0])} is not a field of the body; send {_EXPECTED_BODY}")
    rows = content["instances"]
    if not isinstance(rows, list) or not rows:
        found = "an empty list" if rows == [] else _shown(rows)
        raise MalformedBodyError(
            f"instances is {found}, expected a list of 1 to {MAX_INSTANCES} objects; send {_EXPECTED_BODY}"
        )
    if len(rows) > MAX_INSTANCES:
        raise BodyTooLargeError(
            f"{len(rows):,} instances in one request, at most {MAX_INSTANCES:,} are answered; send several"
        )
    return rows


def _problems(index: int, row: object, model: ServedModel) -> Iterator[FieldProblem]:
    where = f"instances[{index}]"
    if not isinstance(row, dict):
        yield FieldProblem(where, _shown(row), "an object with the model's fields")
        return
    for field in model.fields.values():
        if problem := _field_problem(f"{where}.{field.name}", field, row):
            yield problem
    entity = model.use_case.entity
    for name in row:
        if name == entity:
            if problem := _entity_problem(f"{where}.{name}", row[name]):
                yield problem
        elif name not in model.fields:
            yield _unknown(where, name, (*model.fields, entity))


def _field_problem(where: str, field: Field, row: Mapping[str, object]) -> FieldProblem | None:
    value = row.get(field.name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:  # too long for float()
        return FieldProblem(where, _shown(value), f"a number between -{_LARGEST:.2g} and {_LARGEST:.2g}")
    if expected := field.problem(value):
        found = "nothing" if field.name not in row else _shown(value)
        return FieldProblem(where, found, expected, _suggestion(field, value))
    if isinstance(value, float) and abs(value) > _LARGEST:
        return FieldProblem(where, _shown(value), f"a number between -{_LARGEST:.2g} and {_LARGEST:.2g}")
    if isinstance(value, str) and not _is_storable(value):
        return FieldProblem(where, _shown(value), "Unicode text without NUL characters")
    return None


def _entity_problem(where: str, value: object) -> FieldProblem | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    if isinstance(value, str) and _is_storable(value):
        return None
    return FieldProblem(where, _shown(value), "a string, an integer or null: your name for what is predicted")


def _is_storable(text: str) -> bool:
    """PostgreSQL stores neither NUL nor half a surrogate pair; JSON can smuggle in both."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))


def _suggestion(field: Field, value: object) -> str:
    if field.kind is Kind.CATEGORICAL and isinstance(value, bool | int | float):
        return f"send it as text: {json.dumps(json.dumps(value))}"
    if field.kind is Kind.NUMERIC and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return "send null where the value is not known"
        return (
            f"send it without quotes: {value.strip()}" if np.isfinite(number) else "send null where the value is not known"
        )
    if field.kind is Kind.NUMERIC and isinstance(value, bool):
        return f"send {int(value)}"
    if isinstance(value, float):
        return "send null where the value is not known"
    return f"add {field.name}" if value is None else ""


def _unknown(where: str, name: str, known: Sequence[str]) -> FieldProblem:
    close = difflib.get_close_matches(name[:100], known, 1)
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    hint = f"did you mean {close[0]}?" if close else f"remove it; known: {', '.join(known)}"
    return FieldProblem(f"{where}.{shown}", "a field that this model does not know", "only the model's fields", hint)


def _split(row: dict[str, Any], entity: str) -> Instance:
    if entity not in row:
        return Instance(None, row)
    name = row[entity]
    return Instance(None if name is None else str(name), {key: value for key, value in row.items() if key != entity})


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
