"""Reads and checks the body of a request the slow way: one response names every wrong field.

`serving.contract.request_schema` reads valid bodies many times faster, and leaves all others to this module.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from noria.core.base.errors import InstanceError
from noria.core.model.encoder_columns import LARGEST
from noria.core.model.signature import Field, Kind
from serving.contract.errors import BodyTooLargeError, FieldProblem, MalformedBodyError
from serving.contract.request_schema import Instance, PredictBody
from serving.models.served_model import ServedModel

_EXPECTED_BODY = '{"instances": [{...}, ...]} or {"entities": ["...", ...]}'


def read_body(body: bytes, model: ServedModel) -> PredictBody:
    """Content of a body.

    Raises:
        MalformedBodyError: not JSON, or not of the shape ``{"instances": [...]}`` or ``{"entities": [...]}``.
        BodyTooLargeError: more instances or entities than the use case allows in one request.
        InstanceError: fields that do not fit the version's signature; lists all of them.
    """
    content = _fields_of(parse(body))
    most = model.use_case.serving.max_batch
    if "entities" in content:
        return PredictBody([], _entities(content["entities"], model))
    return PredictBody(check_rows(_rows("instances", content["instances"], "objects", most), model), [])


def check_rows(rows: Sequence[object], model: ServedModel) -> list[Instance]:
    """Rows of any protocol as instances.

    Raises:
        InstanceError: fields that do not fit the version's signature; lists all of them.
    """
    if problems := [problem for index, row in enumerate(rows) for problem in _problems(index, row, model)]:
        raise InstanceError(model.pseudonymiser.hush(problems) if model.pseudonymiser else problems)
    return [_split(row, model) for row in rows if isinstance(row, dict)]


def parse(body: bytes) -> object:
    """A body as JSON.

    Raises:
        MalformedBodyError: it is not.
    """
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


def _fields_of(content: object) -> dict[str, Any]:
    """The body's one field."""
    if not isinstance(content, dict) or not content.keys() & {"instances", "entities"}:
        raise MalformedBodyError(f"the body has no field instances; send {_EXPECTED_BODY}")
    if unknown := sorted(content.keys() - {"instances", "entities"}):
        raise MalformedBodyError(f"{shown(unknown[0])} is not a field of the body; send {_EXPECTED_BODY}")
    if len(content) > 1:
        raise MalformedBodyError(f"the body has both instances and entities; send {_EXPECTED_BODY}")
    return content


def _rows(name: str, rows: object, of_what: str, most: int) -> list[Any]:
    if not isinstance(rows, list) or not rows:
        found = "an empty list" if rows == [] else shown(rows)
        raise MalformedBodyError(f"{name} is {found}, expected a list of 1 to {most} {of_what}; send {_EXPECTED_BODY}")
    if len(rows) > most:
        raise BodyTooLargeError(f"{len(rows):,} {name} in one request, at most {most:,} are answered; send several")
    return rows


def _entities(content: object, model: ServedModel) -> list[str]:
    names = _rows("entities", content, "names", model.use_case.serving.max_batch)
    problems = [
        FieldProblem(f"entities[{index}]", shown(name), "a string or an integer: your name for what is predicted")
        for index, name in enumerate(names)
        if name is None or _entity_problem("", name)
    ]
    if problems:
        raise InstanceError(model.pseudonymiser.hush(problems) if model.pseudonymiser else problems)
    return [str(name) for name in names]


def _problems(index: int, row: object, model: ServedModel) -> Iterator[FieldProblem]:
    where = f"instances[{index}]"
    if not isinstance(row, dict):
        yield FieldProblem(where, shown(row), "an object with the model's fields")
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
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:  # too long for float()
        return FieldProblem(where, shown(value), f"a number between -{LARGEST:.2g} and {LARGEST:.2g}")
    if expected := field.problem(value):
        found = "nothing" if field.name not in row else shown(value)
        return FieldProblem(where, found, expected, _suggestion(field, value))
    if isinstance(value, float) and abs(value) > LARGEST:
        return FieldProblem(where, shown(value), f"a number between -{LARGEST:.2g} and {LARGEST:.2g}")
    if isinstance(value, str) and not _is_storable(value):
        return FieldProblem(where, shown(value), "Unicode text without NUL characters")
    return None


def _entity_problem(where: str, value: object) -> FieldProblem | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    if isinstance(value, str) and _is_storable(value):
        return None
    return FieldProblem(where, shown(value), "a string, an integer or null: your name for what is predicted")


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL can store a text: neither NUL nor half a surrogate pair, which JSON allows."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text))


def _suggestion(field: Field, value: object) -> str:
    unknown = "" if field.required else "send null where the value is not known"
    if field.kind is Kind.CATEGORICAL and isinstance(value, bool | int | float):
        return f"send it as text: {json.dumps(json.dumps(value))}"
    if field.kind is Kind.NUMERIC and isinstance(value, str):
        return f"send it without quotes: {value.strip()}" if _is_number(value) else unknown
    if field.kind is Kind.NUMERIC and isinstance(value, bool):
        return f"send {int(value)}"
    if isinstance(value, float):
        return unknown
    return f"add {field.name}" if value is None else ""


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _unknown(where: str, name: str, known: Sequence[str]) -> FieldProblem:
    close = difflib.get_close_matches(name[:100], known, 1)
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    hint = f"did you mean {close[0]}?" if close else f"remove it; known: {', '.join(known)}"
    return FieldProblem(f"{where}.{shown}", "a field that this model does not know", "only the model's fields", hint)


def _split(row: dict[str, Any], model: ServedModel) -> Instance:
    """The instance as `serving.contract.request_schema` reads it: every field, numbers as floats."""
    name = row.get(model.use_case.entity)
    features = {field: _read(row.get(field), of) for field, of in model.fields.items()}
    return Instance(None if name is None else str(name), features)


def _read(value: Any, field: Field) -> Any:
    return float(value) if field.kind is Kind.NUMERIC and value is not None else value


def shown(value: object) -> str:
    """A value as it was sent, shortened to 60 characters."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
