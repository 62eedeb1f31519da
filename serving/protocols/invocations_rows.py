"""The rows of a request in MLflow's scoring protocol: four forms of JSON, and CSV.

Columns that the version does not read are left out, and an absent column is missing, as MLflow does with the bundle itself.
MLflow's own `params` and the index of a frame are left out too.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from noria.core.model.signature import Kind
from serving.contract.errors import MalformedBodyError
from serving.models.served_model import ServedModel
from serving.predict.instances import parse

_FORMS = "dataframe_split, dataframe_records, instances or inputs"
_NO_NUMBER = {"", "NA", "NaN", "nan", "null"}
_Row = Mapping[str, Any]


def read_rows(body: bytes, content_type: str, model: ServedModel) -> list[dict[str, Any]]:
    """The rows of a request, in the form of `POST /v1/{use_case}/predict`.

    Args:
        body: unpacked.
        content_type: application/json or text/csv; empty means JSON.
        model: the version that reads the columns.

    Raises:
        MalformedBodyError: it is not such a request.
    """
    kind = content_type.partition(";")[0].strip().lower()
    rows: Sequence[_Row]
    if kind == "text/csv":
        rows = _of_csv(body, model)
    elif kind in ("", "application/json"):
        rows = _of_json(parse(body))
    else:
        raise MalformedBodyError(f"Content-Type is {kind[:60]!r}, expected application/json or text/csv")
    if not rows:
        raise MalformedBodyError("there are no rows; send at least one")
    read = {*model.fields, model.use_case.entity}
    return [{name: _value(value) for name, value in row.items() if name in read} for row in rows]


def _of_json(content: object) -> Sequence[_Row]:
    if not isinstance(content, dict):
        raise MalformedBodyError(f"the body is no object; send one with {_FORMS}")
    forms = [name for name in content if name in _READERS]
    if len(forms) != 1:
        raise MalformedBodyError(f"the body has {' and '.join(forms) or 'no rows'}; send exactly one of {_FORMS}")
    if unknown := sorted(content.keys() - {*forms, "params"}):
        raise MalformedBodyError(f"{unknown[0][:60]!r} is not a field of the body; send one of {_FORMS}, and params")
    return _READERS[forms[0]](forms[0], content[forms[0]])


def _split(form: str, content: object) -> list[_Row]:
    if not isinstance(content, dict) or not _are_names(columns := content.get("columns")):
        raise MalformedBodyError(f'{form} must be {{"columns": [names], "data": [[values], ...]}}')
    _check_once(columns)
    rows = content.get("data")
    if not isinstance(rows, list):
        raise MalformedBodyError(f"{form}.data is no list; send one list of values for each row")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise MalformedBodyError(f"{form}.data[{index}] is no list of {len(columns)} values, one for each column")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _records(form: str, content: object) -> list[_Row]:
    if not isinstance(content, list):
        raise MalformedBodyError(f'{form} is no list; send [{{"column": value, ...}}, ...]')
    for index, row in enumerate(content):
        if not isinstance(row, dict):
            raise MalformedBodyError(f"{form}[{index}] is no object; name the column of each value")
    return content


def _inputs(form: str, content: object) -> list[_Row]:
    """Columns by name; or a list of rows, which MLflow's client sends for a list."""
    if not isinstance(content, dict):
        return _records(form, content)
    lengths = {len(values) if isinstance(values, list) else -1 for values in content.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise MalformedBodyError(f"{form} must have one list for each column, all of them equally long")
    return [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]


_READERS: dict[str, Callable[[str, object], list[_Row]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _records,
    "inputs": _inputs,
}


def _of_csv(body: bytes, model: ServedModel) -> list[_Row]:
    """Rows of a CSV: texts, and numbers in numeric columns; an empty cell is a missing value."""
    numeric = {field.name for field in model.fields.values() if field.kind is Kind.NUMERIC}
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        columns = next(lines, [])
        rows = [cells for cells in lines if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedBodyError(
            f"the body is no CSV in UTF-8 ({error}); send a header line and one line for each row"
        ) from error
    _check_once(columns)
    for index, cells in enumerate(rows):
        if len(cells) != len(columns):
            raise MalformedBodyError(f"row {index + 1} of the CSV has {len(cells)} cells, its header has {len(columns)}")
    return [{name: _cell(cell, name in numeric) for name, cell in zip(columns, cells, strict=True)} for cells in rows]


def _check_once(columns: Sequence[str]) -> None:
    if twice := [name for index, name in enumerate(columns) if name in columns[:index]]:
        raise MalformedBodyError(f"the column {twice[0][:60]!r} is there twice")


def _cell(text: str, is_number: bool) -> Any:
    if not is_number:
        return text or None
    if text in _NO_NUMBER:
        return None
    try:
        return text if "_" in text else float(text)
    except ValueError:
        return text  # the check of all fields names it


def _value(value: Any) -> Any:
    """A value, with None for NaN, which data frames write for a missing number."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _are_names(columns: object) -> TypeGuard[list[str]]:
    return isinstance(columns, list) and all(isinstance(name, str) for name in columns)
