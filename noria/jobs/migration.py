"""Migration of Noria's own tables to the revision that this release needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from noria.bootstrap import Services
from noria.ports.schema import Migration, SchemaState


@dataclass(frozen=True)
class MigrationPlan:
    """Tables that the database has, and the migrations that `migrate` would apply, oldest first."""

    state: SchemaState
    pending: tuple[Migration, ...]


def plan(services: Services) -> MigrationPlan:
    """Compare the database with this release, and change nothing.

    Raises:
        SchemaError: the tables are newer than this release.

    Example:
        >>> [migration.revision for migration in plan(services).pending]
        ['0001', '0002']
    """
    state = services.schema.read()
    return MigrationPlan(state, services.schema.pending(state))


def migrate(
    services: Services, *, lock_timeout: timedelta, on_applied: Callable[[Migration], None] = lambda _: None
) -> SchemaState:
    """Apply the pending migrations, each in one transaction.

    Args:
        services: hold the database.
        lock_timeout: longest wait for a table that another session uses.
        on_applied: called after the commit of each migration.

    Returns:
        The tables afterwards.

    Raises:
        SchemaError: the tables are newer than this release, a table stayed in use, or PostgreSQL refused a statement.

    Example:
        >>> from datetime import timedelta
        >>> migrate(services, lock_timeout=timedelta(seconds=5)).revision
        '0002'
        >>> plan(services).pending
        ()
    """
    services.schema.migrate(lock_timeout=lock_timeout, on_applied=on_applied)
    return services.schema.read()
