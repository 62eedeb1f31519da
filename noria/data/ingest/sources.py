"""Reads sources as they are declared: files (on disk or in an installed package) and queries.

Every reader gives Arrow tables of texts, numbers, booleans and instants, and can say where a row came from.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from noria.core.base.errors import SourceError, first_line
from noria.core.base.interval import Interval
from noria.core.use_case import FileSource, Source, SqlSource
from noria.data.ingest.columns import as_instants, as_plain
from noria.data.postgres.warehouse import sqlalchemy_url

ORIGIN = "__origin"
"""Column that readers add: where the row came from. It never reaches the warehouse."""
_NULLS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")
_PACKAGE = "package:"


SourceUrl = Callable[[str], str]
"""Gives the URL of a named connection; raises SettingsError where none is set."""


class Reader(Protocol):
    """Reads one source."""

    def rows(self, interval: Interval | None) -> pa.Table:
        """The source's rows with event time in the interval (all of them for None), plus the column `ORIGIN`.

        Raises:
            SourceError: it cannot be read as declared; names file, row and column.
        """
        ...


def open_source(source: Source, folder: Path, source_url: SourceUrl) -> Reader:
    """The reader of a source; a file is read once, however many intervals are asked for.

    Args:
        source: what the use case declares.
        folder: the use case's folder, to which paths are relative.
        source_url: URL of the database behind a named connection.
    """
    return FileReader(source, folder) if isinstance(source, FileSource) else SqlReader(source, source_url)


@dataclass
class FileReader:
    """CSV (plain, .zip, .gz) or Parquet files."""

    source: FileSource
    folder: Path

    def rows(self, interval: Interval | None) -> pa.Table:
        """The rows of all files, in the order of their names."""
        if interval is None or self.source.event_time is None:
            return self._everything
        times = self._everything[self.source.event_time]
        return self._everything.filter(
            pc.and_(
                pc.greater_equal(times, pa.scalar(interval.start, times.type)),
                pc.less(times, pa.scalar(interval.end, times.type)),
            )
        )

    @cached_property
    def _everything(self) -> pa.Table:
        tables = [self._read(path) for path in resolve(self.source, self.folder)]
        for path, table in zip(resolve(self.source, self.folder), tables, strict=True):
            if table.column_names != tables[0].column_names:
                different = sorted(set(table.column_names) ^ set(tables[0].column_names)) or table.column_names
                raise SourceError(
                    f"{path}: its columns differ from the first file's ({', '.join(different[:5])}); "
                    f"files of source {self.source.name} must have the same columns"
                )
        return pa.concat_tables(tables, promote_options="permissive")

    def _read(self, path: Path) -> pa.Table:
        table = as_plain(_read_parquet(path) if ".parquet" in path.suffixes else _read_csv(path, self.source.event_time))
        table = table.append_column(ORIGIN, _origins(path, len(table)))
        if self.source.event_time is None:
            return table
        return as_instants(table, self.source.event_time, ORIGIN)


@dataclass(frozen=True)
class SqlReader:
    """A query on another database."""

    source: SqlSource
    source_url: SourceUrl

    def rows(self, interval: Interval | None) -> pa.Table:
        """The rows of the query, with `:start` and `:end` bound to the interval."""
        bound = {"start": interval.start, "end": interval.end} if interval and self.source.event_time else {}
        where = f"source {self.source.name} (connection {self.source.connection})"
        names, records = self._run(bound, where)
        columns = [as_plain_values([record[index] for record in records]) for index in range(len(names))]
        table = as_plain(pa.table(dict(zip(names, columns, strict=True))))
        table = table.append_column(ORIGIN, pa.array([f"{where} row {row + 1}" for row in range(len(records))], pa.string()))
        return as_instants(table, self.source.event_time, ORIGIN) if self.source.event_time else table

    def _run(self, bound: dict[str, Any], where: str) -> tuple[list[str], Sequence[Sequence[Any]]]:
        url = self.source_url(self.source.connection)
        engine = create_engine(sqlalchemy_url(url) if url.startswith("postgres") else url)
        try:
            with engine.connect() as connection:
                result = connection.execute(text(self.source.query), bound)
                return list(result.keys()), result.all()
        except SQLAlchemyError as error:
            reason = first_line(getattr(error, "orig", None) or error)
            raise SourceError(f"{where}: the query failed ({reason}); mend the query or the connection's URL") from error
        finally:
            engine.dispose()


def as_plain_values(values: list[Any]) -> pa.Array:
    """Values of a database driver as Arrow; what Arrow has no plain type for becomes text."""
    from decimal import Decimal

    if any(isinstance(value, Decimal) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def resolve(source: FileSource, folder: Path) -> tuple[Path, ...]:
    """The files of a source, by name.

    Raises:
        SourceError: there is none.
    """
    pattern = _in_package(source) if source.path.startswith(_PACKAGE) else (folder / source.path)
    anchor = Path(pattern.anchor or ".")
    found = sorted(path for path in anchor.glob(str(pattern.relative_to(anchor))) if path.is_file())
    if not found:
        raise SourceError(f"source {source.name}: no file at {pattern}; mend its path, relative to {folder}")
    return tuple(found)


def _in_package(source: FileSource) -> Path:
    """A path inside an installed package: found, not imported, for a data package may not even import."""
    package, _, rest = source.path.removeprefix(_PACKAGE).partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"source {source.name}: Python package {package!r} is not installed; install it, or mend the path")
    return Path(spec.submodule_search_locations[0]).resolve() / rest


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path}: is not Parquet ({first_line(error)}); replace the file") from error


def _read_csv(path: Path, event_time: str | None) -> pa.Table:
    """Read with types found from the whole file; dates stay text, as the file has them."""
    content = _bytes(path)
    as_text = {event_time: pa.string()} if event_time else {}
    try:
        table = _parse(content, as_text)
        temporal = [field.name for field in table.schema if pa.types.is_temporal(field.type) or pa.types.is_null(field.type)]
        return _parse(content, as_text | dict.fromkeys(temporal, pa.string())) if temporal else table
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path}: is not a CSV table ({first_line(error)}); mend the row, or the path") from error


def _parse(content: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    options = pa_csv.ConvertOptions(column_types=types, null_values=_NULLS, strings_can_be_null=True)
    # One block: types are found from the first block, and a number may turn out to be a text in the last row.
    reading = pa_csv.ReadOptions(block_size=max(len(content) + 1, 1 << 20))
    return pa_csv.read_csv(io.BytesIO(content), reading, convert_options=options)


def _bytes(path: Path) -> bytes:
    try:
        if path.suffix == ".zip":
            return b"".join(_zipped(path))
        with pa.input_stream(str(path), compression="detect") as stream:
            return bytes(stream.read())
    except (OSError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise SourceError(f"{path}: cannot be read ({first_line(error)}); replace the file") from error


def _zipped(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.lower().endswith(".csv") and not name.startswith("__MACOSX")]
        if len(members) != 1:
            raise SourceError(f"{path}: holds {len(members)} CSV files; a source's archive must hold exactly one")
        yield archive.read(members[0])


def _origins(path: Path, rows: int) -> pa.Array:
    """Position of each row; a CSV's header is line 1."""
    first, noun = (1, "row") if ".parquet" in path.suffixes else (2, "line")
    numbers = pc.cast(pa.array(range(first, first + rows), pa.int64()), pa.string())
    return pc.binary_join_element_wise(f"{path.name} {noun} ", numbers, "")
