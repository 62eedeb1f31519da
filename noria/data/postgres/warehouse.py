"""PostgreSQL: where raw data, features, labels and Noria's own tables live.

Rows travel as Arrow: out through ADBC, in through COPY. Writes are SQLAlchemy transactions, so that a step that is killed
leaves nothing half-written.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Connection, Engine, create_engine, make_url, text

from noria.core.base.errors import SettingsError

_DIALECTS = ("postgresql", "postgres")


@dataclass(frozen=True)
class Table:
    """A table by schema and name; both are identifiers that a use case has validated."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


class Warehouse:
    """A PostgreSQL database.

    Args:
        url: ``postgresql://user:password@host:port/database``.

    Raises:
        SettingsError: the URL is not one of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._target = sqlalchemy_url(url)

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy engine on psycopg, in UTC; connections are checked before use: a restarted server is survived."""
        options = f"{make_url(self._target).query.get('options', '')} -c timezone=UTC".lstrip()
        return create_engine(self._target, pool_pre_ping=True, pool_size=2, connect_args={"options": options})

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction: all of it is kept, or none of it."""
        with self.engine.begin() as connection:
            yield connection

    def read_arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Rows of a query as Arrow.

        Args:
            sql: a query with ``$1``, ``$2``... where parameters go.
            parameters: instants, texts and numbers.
        """
        with adbc.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return cursor.fetch_arrow_table()

    def columns(self, table: Table) -> Mapping[str, str]:
        """PostgreSQL type of each column, in order; empty where there is no such table."""
        with self.transaction() as connection:
            return columns(connection, table)

    def close(self) -> None:
        """Give up pooled connections."""
        self.engine.dispose()


def sqlalchemy_url(url: str) -> str:
    """The URL with the driver that SQLAlchemy should use.

    Raises:
        SettingsError: it is not a URL of PostgreSQL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in _DIALECTS:
        raise SettingsError(
            f"the warehouse's URL starts with {scheme!r}: give postgresql://user:password@host:port/database"
        )
    return make_url(f"postgresql+psycopg://{rest}").render_as_string(hide_password=False)


def quote(identifier: str) -> str:
    """An identifier as SQL wants it."""
    return '"' + identifier.replace('"', '""') + '"'


def columns(connection: Connection, table: Table) -> dict[str, str]:
    """PostgreSQL type of each column, in order; empty where there is no such table."""
    found = connection.execute(
        text(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = :schema and table_name = :name order by ordinal_position"
        ),
        {"schema": table.schema, "name": table.name},
    )
    return {row.column_name: row.data_type for row in found}


def csv_of(rows: pa.Table) -> bytes:
    """Rows as COPY reads them: a null is empty, an empty text is quoted."""
    buffer = io.BytesIO()
    pa_csv.write_csv(rows, buffer, pa_csv.WriteOptions(include_header=False, quoting_style="needed"))
    return buffer.getvalue()


def append(connection: Connection, table: Table, rows: pa.Table) -> None:
    """Append Arrow rows within the transaction; columns are matched by name."""
    copy_csv(connection, table, rows.column_names, csv_of(rows))


def copy_csv(connection: Connection, table: Table, names: Sequence[str], content: bytes) -> None:
    """Append CSV without a header within the transaction."""
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"copy {table} ({', '.join(quote(name) for name in names)}) from stdin with (format csv)") as stream,
    ):
        stream.write(content)
