"""Lineage of a training set, back to raw data: which sources brought which time, how many rows, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from noria.core.base.interval import Interval
from noria.core.use_case import FileSource, Source, UseCase

_INGESTED = sa.text(
    "select start_at, end_at, row_count, ingested_at from ops.ingested "
    "where use_case = :use_case and source = :source and start_at < :until order by start_at"
)
_REFERENCE = sa.text(
    "select digest, row_count, ingested_at from ops.reference_tables where use_case = :use_case and source = :source"
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IngestedRange(_Model):
    """Event time that a source has brought without a gap; `start` up to `end`, exclusive."""

    start: datetime
    end: datetime
    rows: int
    ingested_at: datetime
    """When the latest part of it was brought."""


class SourceLineage(_Model):
    """Rows and times that one source has brought."""

    name: str
    origin: str
    """Path of the files, or connection of the query."""
    table: str
    """Table of raw rows."""
    stretches: tuple[IngestedRange, ...] = ()
    """Of a source with event times, in order; a gap between two means that nothing was brought for it."""
    digest: str = ""
    """SHA-256 of a reference table, which is replaced whole."""
    rows: int = 0
    ingested_at: datetime | None = None
    privacy: dict[str, str] = {}
    """What became of its personal columns, as the use case says of any source."""

    @property
    def known(self) -> bool:
        """Whether the ledger says what the source has brought."""
        return bool(self.stretches or self.digest)


class Lineage(_Model):
    """From raw data to the training set."""

    snapshot: str
    """SHA-256 of the training set's file."""
    as_of: datetime
    """Nothing that became known after this instant is in it."""
    rows: int
    positives: int = 0
    features: str
    """Table that dbt makes of the raw rows, one row per entity."""
    labels: str
    sources: tuple[SourceLineage, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Sources of which the ledger says nothing."""
        return tuple(source.name for source in self.sources if not source.known)


def read_lineage(
    engine: sa.Engine, use_case: UseCase, *, snapshot: str, as_of: datetime, rows: int, positives: int = 0
) -> Lineage:
    """Ask the warehouse for the ingested ranges.

    Args:
        engine: the warehouse's, with Noria's tables in place.
        use_case: whose training set it is.
        snapshot: digest of the training set.
        as_of: stretches that begin later are left out.
        rows: labelled rows of the training set.
        positives: those of the positive class; 0 for tasks that have none.
    """
    with engine.connect() as connection:
        sources = tuple(_read(connection, use_case, source, as_of) for source in use_case.sources)
    return lineage_of(use_case, sources, snapshot=snapshot, as_of=as_of, rows=rows, positives=positives)


def lineage_of(
    use_case: UseCase, sources: Sequence[SourceLineage], *, snapshot: str, as_of: datetime, rows: int, positives: int = 0
) -> Lineage:
    """The lineage of a training set from what its sources have brought; see `read_lineage`."""
    return Lineage(
        snapshot=snapshot,
        as_of=as_of,
        rows=rows,
        positives=positives,
        features=f"features.{use_case.features.model}",
        labels=f"labels.{use_case.label.model}",
        sources=tuple(sources),
    )


def source_of(use_case: UseCase, source: Source) -> SourceLineage:
    """A source that has brought nothing yet."""
    return SourceLineage(
        name=source.name,
        origin=source.path if isinstance(source, FileSource) else f"query on connection {source.connection}",
        table=f"raw.{use_case.name}__{source.name}",
        privacy={column: how.value for column, how in use_case.privacy.items()},
    )


def _read(connection: sa.Connection, use_case: UseCase, source: Source, until: datetime) -> SourceLineage:
    about = {"use_case": use_case.name, "source": source.name}
    bare = source_of(use_case, source)
    if source.event_time is None:
        found = connection.execute(_REFERENCE, about).first()
        if found is None:
            return bare
        return bare.model_copy(
            update={"digest": found.digest, "rows": found.row_count, "ingested_at": found.ingested_at.astimezone(UTC)}
        )
    brought = connection.execute(_INGESTED, {**about, "until": until})
    stretches = tuple(_joined(IngestedRange(start=row[0], end=row[1], rows=row[2], ingested_at=row[3]) for row in brought))
    latest = max((stretch.ingested_at for stretch in stretches), default=None)
    return bare.model_copy(
        update={"stretches": stretches, "rows": sum(stretch.rows for stretch in stretches), "ingested_at": latest}
    )


def _joined(stretches: Iterable[IngestedRange]) -> Iterator[IngestedRange]:
    """Stretches that touch, as one."""
    current: IngestedRange | None = None
    for stretch in map(_in_utc, stretches):
        if current is not None and stretch.start <= current.end:
            current = IngestedRange(
                start=current.start,
                end=max(current.end, stretch.end),
                rows=current.rows + stretch.rows,
                ingested_at=max(current.ingested_at, stretch.ingested_at),
            )
            continue
        if current is not None:
            yield current
        current = stretch
    if current is not None:
        yield current


def _in_utc(stretch: IngestedRange) -> IngestedRange:
    whole = Interval(stretch.start, stretch.end)
    return IngestedRange(
        start=whole.start, end=whole.end, rows=stretch.rows, ingested_at=stretch.ingested_at.astimezone(UTC)
    )
