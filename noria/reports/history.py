"""The port of a version's history: where its training set came from, and what it has done in operation."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from noria.core.base.interval import parse_instant
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.reports.lineage import Lineage, read_lineage
from noria.reports.operations import Operations, read_operations


class VersionHistory(Protocol):
    """History of a version in the warehouse, before and after it was made."""

    def lineage(self, use_case: UseCase, snapshot: SnapshotRef) -> Lineage:
        """Sources of a training set and what each had brought; ranges that begin after its as-of date are left out."""
        ...

    def operations(self, use_case: str, version: str) -> Operations:
        """Verdicts, requests and money of one version; all zero where there are none."""
        ...


class PostgresVersionHistory:
    """`VersionHistory` in PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def lineage(self, use_case: UseCase, snapshot: SnapshotRef) -> Lineage:
        """Sources of a training set and what each had brought."""
        return read_lineage(
            self._engine,
            use_case,
            snapshot=snapshot.digest,
            as_of=parse_instant(snapshot.as_of),
            rows=snapshot.rows,
            positives=snapshot.positives,
        )

    def operations(self, use_case: str, version: str) -> Operations:
        """Verdicts, requests and money of one version."""
        return read_operations(self._engine, use_case, version)
