"""Raw tables: one per source, `raw.<use case>__<source>`, with the source's own columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from noria.core.base.errors import SourceError
from noria.core.base.interval import Interval
from noria.core.use_case import Privacy, Source, UseCase
from noria.data.ingest import columns as types
from noria.data.ingest.sources import ORIGIN
from noria.data.postgres.warehouse import Table, append, columns, quote


def raw_table(use_case: UseCase, source: Source) -> Table:
    """The raw table of a source."""
    return Table("raw", f"{use_case.name}__{source.name}")


def shape(connection: Connection, table: Table, source: Source, rows: pa.Table, privacy: Mapping[str, Privacy]) -> pa.Table:
    """Make the table, or hold the rows against it: new columns are added, whole numbers widened, dropped columns dropped.

    Returns:
        the rows in the types of the table.

    Raises:
        SourceError: a column that earlier rows had is gone, or a value does not fit its type.
    """
    existing = columns(connection, table)
    if not existing:
        _create(connection, table, source, rows)
        return rows
    existing = _drop(connection, table, existing, [name for name, how in privacy.items() if how is Privacy.DROP])
    if gone := [name for name in existing if name not in rows.column_names]:
        raise SourceError(
            f"source {source.name}: column {', '.join(gone)} is missing; earlier rows have it in {table}. Bring it back, or "
            "drop the table and ingest anew"
        )
    rows = types.fit(rows, existing, ORIGIN)
    changes = [f"alter column {quote(name)} type {types.NUMBER}" for name in types.widened(rows, existing)]
    changes += [
        f"add column {quote(field.name)} {types.postgres_type(field.type)}"
        for field in rows.schema
        if field.name not in existing and field.name != ORIGIN
    ]
    if changes:
        connection.exec_driver_sql(f"alter table {table} {', '.join(changes)}")
    return rows


def delete(connection: Connection, table: Table, source: Source, interval: Interval) -> None:
    """Delete the rows of an interval."""
    column = quote(source.event_time or "")
    connection.execute(
        text(f"delete from {table} where {column} >= :start and {column} < :end"),
        {"start": interval.start, "end": interval.end},
    )


def insert(connection: Connection, table: Table, rows: pa.Table) -> None:
    """Append rows, without their origin."""
    append(connection, table, rows.drop_columns([ORIGIN]))


def analyse(connection: Connection, table: Table) -> None:
    """Let the planner know what the table holds now: dbt reads it before autovacuum would have a look."""
    connection.exec_driver_sql(f"analyze {table}")


def check_key(source: Source, rows: pa.Table) -> None:
    """Check that no key is repeated or missing.

    Raises:
        SourceError: names the first repeated key and the rows that have it.
    """
    if missing := [name for name in source.key if name not in rows.column_names]:
        known = ", ".join(name for name in rows.column_names if name != ORIGIN)
        raise SourceError(f"source {source.name}: there is no column {', '.join(missing)}, which key names; found {known}")
    if not source.key or not len(rows):
        return
    counted = rows.group_by(list(source.key)).aggregate([(ORIGIN, "count"), (ORIGIN, "min"), (ORIGIN, "max")])
    repeated = counted.filter(pc.greater(counted[f"{ORIGIN}_count"], 1)).slice(0, 1)
    for row in repeated.to_pylist():
        key = ", ".join(f"{name}={row[name]!r}" for name in source.key)
        raise SourceError(
            f"source {source.name}: key {key} stands at {row[f'{ORIGIN}_min']} and at {row[f'{ORIGIN}_max']}; "
            "remove one, or mend `key`"
        )


def _create(connection: Connection, table: Table, source: Source, rows: pa.Table) -> None:
    body = ", ".join(
        f"{quote(field.name)} {types.postgres_type(field.type)}" for field in rows.schema if field.name != ORIGIN
    )
    connection.exec_driver_sql(f"create table {table} ({body})")
    if source.event_time:
        connection.exec_driver_sql(f"create index on {table} ({quote(source.event_time)})")


def _drop(connection: Connection, table: Table, existing: Mapping[str, str], unwanted: Iterable[str]) -> dict[str, str]:
    """Erase columns that privacy has since forbidden."""
    names = [name for name in unwanted if name in existing]
    if names:
        connection.exec_driver_sql(f"alter table {table} {', '.join(f'drop column {quote(name)}' for name in names)}")
    return {name: kind for name, kind in existing.items() if name not in names}
