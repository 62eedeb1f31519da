"""Fields and answers of a version as tensors of the Open Inference Protocol: one input per field, one output per answer.

A missing number is NaN. A missing text is the empty text, since BYTES has no null, unless the version knows the empty text
as a category. In JSON, null is a missing value of either kind.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from noria.core.base.errors import InstanceError
from noria.core.model.signature import Field, Kind
from noria.core.use_case import Task
from serving.contract.errors import FieldProblem, MalformedBodyError
from serving.models.served_model import ServedModel
from serving.predict.prediction import AnsweredPrediction
from serving.protocols.gateway import PROBABILITY
from serving.protocols.open_inference_tensors import (
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE_NUMBERS,
    YES_NO,
    Inference,
    RequestedOutput,
    Tensor,
)

_DECISION = {Task.BINARY_CLASSIFICATION: YES_NO, Task.MULTICLASS: TEXT, Task.REGRESSION: NUMBER}


class Column(msgspec.Struct, frozen=True):
    """Name and type of a tensor; its shape is the number of rows, -1 for any."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)


def columns_in(model: ServedModel) -> tuple[Column, ...]:
    """Inputs: every field, and the entity."""
    fields = [Column(field.name, NUMBER if field.kind is Kind.NUMERIC else TEXT) for field in model.fields.values()]
    return (*fields, Column(model.use_case.entity, TEXT))


def columns_out(model: ServedModel) -> tuple[Column, ...]:
    """Outputs."""
    manifest = model.predictor.manifest
    classes = manifest.classes if manifest.task.is_multiclass else ()
    return (
        Column("score", NUMBER),
        Column("decision", _DECISION[manifest.task]),
        *(Column(f"{PROBABILITY}{name}", NUMBER) for name in classes),
        Column("id", TEXT),
        Column("version", TEXT),
    )


def rows_of(inference: Inference, model: ServedModel) -> list[dict[str, Any]]:
    """The rows of a request, in the form of `POST /v1/{use_case}/predict`.

    Raises:
        MalformedBodyError: no inputs, one twice, or inputs of different lengths.
        InstanceError: inputs that are no fields of the version, or of another kind; lists all of them.
    """
    _check_table(inference.inputs)
    known = (*model.fields, model.use_case.entity)
    if problems := [
        problem for index, tensor in enumerate(inference.inputs) for problem in _problems(index, tensor, model, known)
    ]:
        raise InstanceError(problems)
    columns = {tensor.name: [_meaning(tensor, model)(value) for value in tensor.values] for tensor in inference.inputs}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def tensors_of(
    predictions: Sequence[AnsweredPrediction], model: ServedModel, wanted: Sequence[RequestedOutput]
) -> list[Tensor]:
    """The outputs in the order of the request; all of them if it names none."""
    columns = {column.name: column for column in columns_out(model)}
    chosen = [columns[item.name] for item in wanted] or list(columns.values())
    return [Tensor(column.name, column.datatype, _values(column.name, predictions)) for column in chosen]


def check_wanted(wanted: Sequence[RequestedOutput], model: ServedModel) -> None:
    """Refuse unknown outputs, before anything is predicted.

    Raises:
        MalformedBodyError: an output is unknown; names those that exist.
    """
    known = [column.name for column in columns_out(model)]
    if unknown := [item.name for item in wanted if item.name not in known]:
        raise MalformedBodyError(f"no output {unknown[0][:60]!r}; known: {', '.join(known)}")


def _values(name: str, predictions: Sequence[AnsweredPrediction]) -> list[Any]:
    if name.startswith(PROBABILITY):
        name = name.removeprefix(PROBABILITY)
        return [prediction.probabilities[name] for prediction in predictions if isinstance(prediction.probabilities, dict)]
    return [getattr(prediction, name) for prediction in predictions]


def _check_table(inputs: Sequence[Tensor]) -> None:
    if not inputs:
        raise MalformedBodyError("inputs is an empty list, expected one input for each field")
    names = [tensor.name for tensor in inputs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MalformedBodyError(f"{twice[0][:60]!r} is sent twice")
    first = inputs[0]
    for index, tensor in enumerate(inputs):
        if len(tensor.values) != len(first.values):
            raise MalformedBodyError(
                f"inputs[{index}] has {len(tensor.values):,} rows and inputs[0] has {len(first.values):,}; send one value "
                "of each field for each row"
            )


def _problems(index: int, tensor: Tensor, model: ServedModel, known: Sequence[str]) -> Iterator[FieldProblem]:
    where = f"inputs[{index}] ({tensor.name[:60]})"
    if tensor.name not in known:
        close = difflib.get_close_matches(tensor.name[:100], known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        yield FieldProblem(where, "a field that this model does not know", "only the model's fields", hint)
    elif tensor.datatype not in (allowed := _allowed(tensor.name, model)):
        yield FieldProblem(where, tensor.datatype, " or ".join(allowed))


def _allowed(name: str, model: ServedModel) -> tuple[str, ...]:
    if name == model.use_case.entity:
        return (TEXT, *WHOLE_NUMBERS)
    return NUMBERS if model.fields[name].kind is Kind.NUMERIC else (TEXT,)


def _meaning(tensor: Tensor, model: ServedModel) -> Callable[[Any], Any]:
    """Function that gives None for a missing value of this tensor, and any other value as it is."""
    if tensor.datatype != TEXT:
        return lambda value: None if isinstance(value, float) and math.isnan(value) else value
    field = model.fields.get(tensor.name)
    if field is not None and _knows_empty(field):
        return lambda value: value
    return lambda value: None if value == "" else value


def _knows_empty(field: Field) -> bool:
    return "" in field.categories
