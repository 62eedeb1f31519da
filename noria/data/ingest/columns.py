"""Types of raw columns: text, whole number, number, boolean and instant, and nothing else.

A raw table takes its types from the first rows that reach it. Later rows must fit: a whole number may widen to a number, all
else is an error that names the first row that does not fit, so that two intervals never differ in type.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.base.errors import SourceError

TEXT, WHOLE, NUMBER, BOOLEAN, INSTANT = "text", "bigint", "double precision", "boolean", "timestamp with time zone"
_ARROW: Mapping[str, pa.DataType] = {
    TEXT: pa.string(),
    WHOLE: pa.int64(),
    NUMBER: pa.float64(),
    BOOLEAN: pa.bool_(),
    INSTANT: pa.timestamp("us", tz="UTC"),
}
_POSTGRES = {arrow: postgres for postgres, arrow in _ARROW.items()}


def postgres_type(kind: pa.DataType) -> str:
    """Type of the column that holds a plain Arrow type."""
    return _POSTGRES[kind]


def as_plain(rows: pa.Table) -> pa.Table:
    """The rows in the five plain types; a zoned time is an instant, any other date or time stays text."""
    for index, field in enumerate(rows.schema):
        plain = _plain(field.type)
        if plain != field.type:
            rows = rows.set_column(index, field.name, rows[field.name].cast(plain))
    return rows


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(kind):
        return _ARROW[BOOLEAN]
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return _ARROW[WHOLE]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or kind == pa.uint64():
        return _ARROW[NUMBER]
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _ARROW[INSTANT]
    return _ARROW[TEXT]


def as_instants(rows: pa.Table, name: str, origin: str) -> pa.Table:
    """The rows with the named column parsed as UTC instants; a time without a zone is taken as UTC.

    Args:
        rows: has a column called `origin` that says where each row stands.
        name: column with dates or date-times, ISO 8601.
        origin: name of that column.

    Raises:
        SourceError: there is no such column, or a value is missing or not a time; names the row.
    """
    if name not in rows.column_names:
        known = ", ".join(column for column in rows.column_names if column != origin)
        where = rows[origin][0].as_py() if len(rows) else "an empty source"
        raise SourceError(f"{where}: there is no column {name!r}, which event_time names; found {known}")
    column = rows[name]
    parsed = column if column.type == _ARROW[INSTANT] else _parse_instants(column)
    if parsed.null_count:
        row = pc.index(pc.is_null(parsed), True).as_py()
        found = column[row].as_py()
        shown = "nothing" if found is None else repr(found)
        raise SourceError(
            f"{rows[origin][row].as_py()}, column {name}: found {shown}, expected a time such as 2013-05-01T06:00:00Z "
            f"({parsed.null_count} such rows); mend the rows, or event_time"
        )
    return rows.set_column(rows.column_names.index(name), name, parsed)


def _parse_instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Instants, null where a value is not one. The quick way takes whole columns; the slow one finds what is wrong."""
    target = _ARROW[INSTANT]
    texts = column.cast(pa.string())
    try:
        return texts.cast(target)
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([_instant(value) for value in texts.to_pylist()], target)])


def _instant(value: str | None) -> object:
    from noria.core.base.errors import IntervalError
    from noria.core.base.interval import parse_instant

    try:
        return None if value is None else parse_instant(value)
    except IntervalError:
        return None


def fit(rows: pa.Table, existing: Mapping[str, str], origin: str) -> pa.Table:
    """The rows cast to the types that a table has; a number that is not whole stays a number, for the table to widen.

    Raises:
        SourceError: a value does not fit; names the first such row.
    """
    for index, field in enumerate(rows.schema):
        wanted = existing.get(field.name)
        if wanted is None or field.name == origin or _POSTGRES[field.type] == wanted:
            continue
        if wanted == WHOLE and field.type == _ARROW[NUMBER]:
            continue
        rows = rows.set_column(index, field.name, _cast(rows, field.name, wanted, origin))
    return rows


def widened(rows: pa.Table, existing: Mapping[str, str]) -> tuple[str, ...]:
    """Whole-number columns of the table that these rows make numbers."""
    return tuple(field.name for field in rows.schema if existing.get(field.name) == WHOLE and field.type == _ARROW[NUMBER])


def _cast(rows: pa.Table, name: str, wanted: str, origin: str) -> pa.ChunkedArray:
    try:
        return rows[name].cast(_ARROW[wanted])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = next(row for row, value in enumerate(rows[name]) if not _fits(value, wanted))
        raise SourceError(
            f"{rows[origin][row].as_py()}, column {name}: found {rows[name][row].as_py()!r}, expected {wanted} as in the "
            "rows before; mend the row, or drop the raw table to start over with other types"
        ) from error


def _fits(value: pa.Scalar, wanted: str) -> bool:
    try:
        value.cast(_ARROW[wanted])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
