"""The port of the schema: which revision of Noria's tables a database has, and the way to the one that is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True)
class SchemaState:
    """Tables of Noria that a database has.

    Attributes:
        where: name and address of the database.
        revision: last migration that the tables contain; None where 0001 is not complete.
        unnumbered: True where a release before numbered migrations made the tables.
    """

    where: str
    revision: str | None
    unnumbered: bool = False

    def __str__(self) -> str:
        if self.unnumbered:
            same_as = f", the same as of revision {self.revision}" if self.revision else ""
            return f"{self.where} has Noria's tables of a release before numbered migrations{same_as}"
        if self.revision is None:
            return f"{self.where} has no tables of Noria"
        return f"{self.where} has Noria's tables of revision {self.revision}"


@dataclass(frozen=True)
class Migration:
    """One numbered change of the tables.

    Attributes:
        revision: number of four digits, such as ``0002``.
        title: what it changes, in one line.
    """

    revision: str
    title: str

    def __str__(self) -> str:
        return f"{self.revision} ({self.title})"


class Schema(Protocol):
    """Noria's own tables in one database."""

    def read(self) -> SchemaState:
        """Tables that the database has.

        Raises:
            SchemaError: they are newer than this release, or are not those of the revision that the database states.
        """
        ...

    def pending(self, state: SchemaState) -> tuple[Migration, ...]:
        """Migrations that `migrate` would apply to such tables, oldest first."""
        ...

    def migrate(self, *, lock_timeout: timedelta, on_applied: Callable[[Migration], None]) -> tuple[Migration, ...]:
        """Apply the pending migrations, each in one transaction; returns them, oldest first.

        Args:
            lock_timeout: longest wait for a table that another session uses.
            on_applied: called after the commit of each migration.

        Raises:
            SchemaError: the tables are newer than this release, a table stayed in use, another migration did not end, or the
                database refused a statement.
        """
        ...
