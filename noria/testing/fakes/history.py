"""A version's history in memory that keeps the contract of the port; the contract suite runs over it and PostgreSQL."""

from __future__ import annotations

from noria.core.base.interval import parse_instant
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.reports.lineage import Lineage, SourceLineage, lineage_of, source_of
from noria.reports.operations import Operations


class InMemoryVersionHistory:
    """`noria.reports.history.VersionHistory` without a database; a test puts in what has happened.

    Attributes:
        sources: what a source has brought, by use case and source.
        done: what a version has done, by use case and version.
    """

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], SourceLineage] = {}
        self.done: dict[tuple[str, str], Operations] = {}

    def lineage(self, use_case: UseCase, snapshot: SnapshotRef) -> Lineage:
        """Sources of a training set and what each had brought."""
        as_of = parse_instant(snapshot.as_of)
        sources = [
            self.sources.get((use_case.name, source.name), source_of(use_case, source)) for source in use_case.sources
        ]
        early = [
            source.model_copy(update={"stretches": tuple(part for part in source.stretches if part.start < as_of)})
            for source in sources
        ]
        return lineage_of(
            use_case, early, snapshot=snapshot.digest, as_of=as_of, rows=snapshot.rows, positives=snapshot.positives
        )

    def operations(self, use_case: str, version: str) -> Operations:
        """Verdicts, requests and money of one version."""
        return self.done.get((use_case, version), Operations())
