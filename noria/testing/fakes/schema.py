"""Noria's tables of a database that is not there; the contract suite runs over it and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from noria.core.base.errors import SchemaError
from noria.ports.schema import Migration, SchemaState


class InMemorySchema:
    """`noria.ports.schema.Schema` that remembers a revision.

    Attributes:
        migrations: those that this release knows, oldest first.
        revision: of the tables; None where there are none.
        in_use: revisions of migrations that find a table in use; a test fills it to make them fail.
    """

    def __init__(self, *migrations: Migration) -> None:
        self.migrations = migrations or (Migration("0001", "Make the tables"), Migration("0002", "Add a column"))
        self.revision: str | None = None
        self.in_use: set[str] = set()

    def read(self) -> SchemaState:
        """Tables that the database has."""
        newest = self.migrations[-1].revision
        if self.revision is not None and self.revision > newest:
            raise SchemaError(f"the tables have revision {self.revision}, and this release knows revisions up to {newest}")
        return SchemaState("memory", self.revision)

    def pending(self, state: SchemaState) -> tuple[Migration, ...]:
        """Migrations that `migrate` would apply, oldest first."""
        return tuple(migration for migration in self.migrations if migration.revision > (state.revision or ""))

    def migrate(self, *, lock_timeout: timedelta, on_applied: Callable[[Migration], None]) -> tuple[Migration, ...]:
        """Apply the pending migrations; the ones before an error stay."""
        chosen = self.pending(self.read())
        for migration in chosen:
            if migration.revision in self.in_use:
                raise SchemaError(f"{migration} waited {lock_timeout.total_seconds():g} s for a table in use")
            self.revision = migration.revision
            on_applied(migration)
        return chosen
