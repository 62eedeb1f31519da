"""Brings an interval of every source into the raw tables, whole, in one transaction."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, text

from noria.core.base.errors import SourceError
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult
from noria.core.use_case import Source, UseCase
from noria.data.ingest import raw
from noria.data.ingest.ingested_ranges import gaps, read_coverage, record
from noria.data.ingest.privacy import check_key, protect
from noria.data.ingest.sources import ORIGIN, Reader, SourceUrl, open_source
from noria.data.postgres.warehouse import Warehouse, copy_csv, csv_of
from noria.io.advisory_locks import lock_transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Ingest:
    """One run: what its steps share."""

    use_case: UseCase
    interval: Interval
    pseudonym_key: str
    now: datetime

    def protected(self, rows: pa.Table) -> pa.Table:
        return protect(rows, self.use_case.privacy, self.pseudonym_key)


def ingest(
    warehouse: Warehouse,
    use_case: UseCase,
    folder: Path,
    interval: Interval,
    *,
    pseudonym_key: str,
    source_url: SourceUrl,
    now: datetime,
) -> IngestResult:
    """Replace the interval in every raw table, and bring what is missing of the lookback before it.

    Sources with an event time have the interval's rows replaced; reference tables are replaced whole, if they changed. It is
    one transaction under one lock per source: a run that is killed changes nothing, runs of several intervals may overlap,
    and a run that is repeated gives the same rows. The lookback makes features independent of the order in
    which intervals are run.

    Args:
        warehouse: where the rows go.
        use_case: what to bring.
        folder: the use case's folder, to which paths of files are relative.
        interval: which rows are replaced.
        pseudonym_key: key of pseudonyms.
        source_url: URL of the database behind a named connection.
        now: written beside the ingested range.

    Raises:
        SourceError: a source cannot be read as declared; names file, row and column.
        SettingsError: the use case pseudonymises and there is no key.
    """
    check_key(use_case, pseudonym_key)
    run = _Ingest(use_case, interval, pseudonym_key, now)
    readers = {source.name: open_source(source, folder, source_url) for source in use_case.sources}
    # Read before the transaction: files take longest to parse, and locks are best held short.
    found = {source.name: readers[source.name].rows(interval if source.event_time else None) for source in use_case.sources}
    _check_privacy(use_case, found)
    rows: dict[str, int] = {}
    filled = 0
    with warehouse.transaction() as connection:
        for source in sorted(use_case.sources, key=lambda source: source.name):
            lock_transaction(
                connection, str(raw.raw_table(use_case, source))
            )  # in one order, so that two runs cannot block each other
        for source in use_case.sources:
            if source.event_time is None:
                rows[source.name] = _replace_reference(connection, run, source, found[source.name])
            else:
                rows[source.name] = _replace_interval(connection, run, source, found[source.name])
                filled += _fill_lookback(connection, run, source, readers[source.name])
            raw.analyse(connection, raw.raw_table(use_case, source))
    log.info("%s %s: ingested %s, %d rows of lookback", use_case.name, interval, rows, filled)
    return IngestResult(rows=rows, filled=filled)


def _replace_interval(connection: Connection, run: _Ingest, source: Source, found: pa.Table) -> int:
    table = raw.raw_table(run.use_case, source)
    raw.check_key(source, found)
    rows = raw.shape(connection, table, source, run.protected(found), run.use_case.privacy)
    raw.delete(connection, table, source, run.interval)
    raw.insert(connection, table, rows)
    record(connection, run.use_case.name, source.name, run.interval, rows=len(rows), now=run.now)
    return len(rows)


def _fill_lookback(connection: Connection, run: _Ingest, source: Source, reader: Reader) -> int:
    """Bring what no run has brought yet of the time that this interval's features look back to."""
    lookback = run.use_case.features.lookback
    if not lookback:
        return 0
    window = Interval(run.interval.start - lookback, run.interval.start)
    table = raw.raw_table(run.use_case, source)
    filled = 0
    for gap in gaps(read_coverage(connection, run.use_case.name, source.name, window), window):
        found = reader.rows(gap)
        raw.check_key(source, found)
        rows = raw.shape(connection, table, source, run.protected(found), run.use_case.privacy)
        raw.insert(connection, table, rows)
        record(connection, run.use_case.name, source.name, gap, rows=len(rows), now=run.now)
        filled += len(rows)
    return filled


def _replace_reference(connection: Connection, run: _Ingest, source: Source, found: pa.Table) -> int:
    """Replace a reference table whole; leave it alone when it has these very rows."""
    table = raw.raw_table(run.use_case, source)
    raw.check_key(source, found)
    rows = raw.shape(connection, table, source, run.protected(found), run.use_case.privacy).drop_columns([ORIGIN])
    content = csv_of(rows)
    digest = hashlib.sha256("\n".join(rows.column_names).encode() + content).hexdigest()
    if digest != _reference_digest(connection, run.use_case, source):
        connection.exec_driver_sql(f"delete from {table}")
        copy_csv(connection, table, rows.column_names, content)
        connection.execute(
            text(
                "insert into ops.reference_tables values (:use_case, :source, :digest, :rows, :now) "
                "on conflict (use_case, source) do update set "
                "digest = excluded.digest, row_count = excluded.row_count, ingested_at = excluded.ingested_at"
            ),
            {"use_case": run.use_case.name, "source": source.name, "digest": digest, "rows": len(rows), "now": run.now},
        )
    return len(rows)


def _reference_digest(connection: Connection, use_case: UseCase, source: Source) -> object:
    return connection.scalar(
        text("select digest from ops.reference_tables where use_case = :use_case and source = :source"),
        {"use_case": use_case.name, "source": source.name},
    )


def _check_privacy(use_case: UseCase, found: dict[str, pa.Table]) -> None:
    """A misspelt name would let the very column through that it is to protect."""
    known = {name for rows in found.values() for name in rows.column_names}
    if strangers := [name for name in use_case.privacy if name not in known]:
        raise SourceError(
            f"{use_case.name}: privacy names {', '.join(strangers)}, which no source has; mend the name. "
            f"Found {', '.join(sorted(known - {ORIGIN}))}"
        )
