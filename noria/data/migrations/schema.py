"""Revision of Noria's own tables: read it, check it, and migrate to the revision that this release needs.

`versions/` holds one file for each migration. Alembic applies them and keeps the revision in `ops.alembic_version`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Row, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from noria.core.base.errors import SchemaError
from noria.data.postgres.warehouse import Warehouse
from noria.io.advisory_locks import lock_session, try_lock_session
from noria.ports.schema import Migration, SchemaState

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_TIMEOUT = timedelta(seconds=5)
_LOCK = "noria.schema"
_LONGEST_MIGRATION = timedelta(minutes=30)
log = logging.getLogger(__name__)
_FOUND = text(
    "select to_regclass('ops.alembic_version') is not null as is_numbered, "
    "to_regclass('ops.predictions') is not null as has_tables, "
    "case when to_regclass('ops.api_keys') is not null then '0003' when exists ("
    "select from information_schema.columns where table_schema = 'ops' and table_name = 'predictions' "
    "and column_name = 'decision' and data_type = 'text') then '0002' end as revision"
)
# pg_stat_activity hides the sessions of other users from a reader who is not a superuser.
_IN_USE_BY = text(
    "select distinct format('pid %s, %s, %s since %s', l.pid, coalesce(nullif(s.application_name, ''), 'unnamed'), "
    "coalesce(s.state, 'unknown'), coalesce(to_char(s.xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SSZ'), 'unknown')) "
    "from pg_locks as l join pg_stat_activity as s on s.pid = l.pid and s.datname = current_database() "
    "join pg_class as c on c.oid = l.relation and c.relnamespace = to_regnamespace('ops') "
    "where l.granted and l.pid <> pg_backend_pid() order by 1"
)


@cache
def revisions() -> tuple[str, ...]:
    """Revisions that this release knows, oldest first; from the names of the files, without importing Alembic."""
    names = (file.name for file in files(__package__).joinpath("versions").iterdir())
    return tuple(sorted(name.partition("_")[0] for name in names if name.endswith(".py")))


def read_schema(warehouse: Warehouse) -> SchemaState:
    """Tables of Noria that the database has.

    Raises:
        SchemaError: they are newer than this release, or are not those of the revision that the database states.
    """
    try:
        with warehouse.transaction() as connection:
            return _read(connection, _where(warehouse))
    except ProgrammingError as error:
        why = str(error.orig).strip()
        raise SchemaError(f"{_where(warehouse)}: the revision of Noria's tables cannot be read: {why}") from error


def check_schema(warehouse: Warehouse) -> None:
    """Compare the revision of the tables with the one that this release needs: two short queries.

    Raises:
        SchemaError: the tables are missing, older or newer.
    """
    state = read_schema(warehouse)
    if state.unnumbered or state.revision != revisions()[-1]:
        raise SchemaError(f"{state}, and this release needs revision {revisions()[-1]}: run `noria migrate`")


def pending(state: SchemaState) -> tuple[Migration, ...]:
    """Migrations that `migrate` would apply, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()  # newest first
    known = [Migration(script.revision, script.doc.rstrip(".")) for script in scripts][::-1]
    return tuple(migration for migration in known if migration.revision > (state.revision or ""))


def migrate(
    warehouse: Warehouse,
    *,
    to: str | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    on_applied: Callable[[Migration], None] = lambda _: None,
) -> tuple[Migration, ...]:
    """Apply the pending migrations, each in one transaction. A second call at the same time waits for the first.

    Args:
        warehouse: database to migrate.
        to: last revision to apply; None for the one that this release needs.
        lock_timeout: longest wait for a table that another session uses.
        on_applied: called after the commit of each migration.

    Returns:
        The migrations that were applied, oldest first.

    Raises:
        SchemaError: the tables are newer than this release, a table stayed in use, another migration did not end, or
            PostgreSQL refused a statement.
    """
    with _alone(warehouse):
        state = read_schema(warehouse)
        chosen = tuple(migration for migration in pending(state) if to is None or migration.revision <= to)
        with _step(warehouse, "preparing ops.alembic_version", lock_timeout) as connection:
            _prepare(connection, state)
        for migration in chosen:
            with _step(warehouse, f"migration {migration}", lock_timeout) as connection:
                _upgrade(connection, migration.revision)
            on_applied(migration)
    return chosen


class PostgresSchema:
    """`noria.ports.schema.Schema` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def read(self) -> SchemaState:
        """Tables of Noria that the database has."""
        return read_schema(self._warehouse)

    def pending(self, state: SchemaState) -> tuple[Migration, ...]:
        """Migrations that `migrate` would apply, oldest first."""
        return pending(state)

    def migrate(self, *, lock_timeout: timedelta, on_applied: Callable[[Migration], None]) -> tuple[Migration, ...]:
        """Apply the pending migrations."""
        return migrate(self._warehouse, lock_timeout=lock_timeout, on_applied=on_applied)


def _read(connection: Connection, where: str) -> SchemaState:
    found = connection.execute(_FOUND).one()
    rows = (
        connection.scalars(text("select version_num from ops.alembic_version order by 1")).all() if found.is_numbered else ()
    )
    if not rows:
        return SchemaState(where, found.revision, unnumbered=found.has_tables)
    state = SchemaState(where, rows[0])
    if len(rows) > 1:
        raise SchemaError(
            f"{where} states several revisions in ops.alembic_version ({', '.join(rows)}): delete the wrong ones"
        )
    if rows[0] not in revisions():
        raise SchemaError(
            f"{state}, and this release knows revisions up to {revisions()[-1]}. `noria migrate` only goes forward: "
            "use the release that migrated this database, or a later one"
        )
    least = min(rows[0], "0003")  # the last one that leaves a mark
    # asked again, since a migration may have ended between the two questions
    if _mark(found) < least and (there := _mark(connection.execute(_FOUND).one())) < least:
        raise SchemaError(
            f"{where} states revision {rows[0]} in ops.alembic_version, and has "
            f"{f'tables of revision {there}' if there else 'no tables of Noria'}: restore a backup, or correct that row"
        )
    return state


def _mark(found: Row[Any]) -> str:
    """Revision that the tables show; empty where there are none."""
    return found.revision or ("0001" if found.has_tables else "")


def _prepare(connection: Connection, state: SchemaState) -> None:
    """Make the schema of Alembic's table; number the tables of a release that did not."""
    connection.exec_driver_sql("create schema if not exists ops")
    if state.unnumbered:
        connection.exec_driver_sql("comment on schema ops is null")  # digest of the SQL that made the tables
    if state.unnumbered and state.revision:
        from alembic import command

        command.stamp(_config(connection), state.revision)


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command

    command.upgrade(_config(connection), revision)


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "noria.data:migrations")
    return config


@contextmanager
def _alone(warehouse: Warehouse) -> Iterator[None]:
    """Hold the lock of migrations; wait for another one within bounds."""
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # never back to the pool: when the session ends, for any cause, its lock does
        if not try_lock_session(connection, _LOCK):
            limit = _LONGEST_MIGRATION
            log.warning("%s: another migration runs; waiting for it, %s at most", _where(warehouse), limit)
            connection.exec_driver_sql(f"set lock_timeout = '{limit // timedelta(milliseconds=1)}ms'")
            try:
                lock_session(connection, _LOCK)
            except OperationalError as error:
                if not isinstance(error.orig, LockNotAvailable):
                    raise
                raise SchemaError(
                    f"{_where(warehouse)}: another migration has not ended within {limit}: wait for it or end it, then run "
                    "`noria migrate`"
                ) from error
        yield


@contextmanager
def _step(warehouse: Warehouse, what: str, lock_timeout: timedelta) -> Iterator[Connection]:
    """Transaction that ends with an error where a table stays in use for longer than `lock_timeout`."""
    try:
        with warehouse.transaction() as connection:
            wait = f"{lock_timeout // timedelta(milliseconds=1)}ms"
            connection.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": wait})
            yield connection
    except DBAPIError as error:
        why = str(error.orig).strip()
        if isinstance(error.orig, LockNotAvailable):
            why = f"waited {lock_timeout.total_seconds():g} s for a table in use; {_in_use_by(warehouse)}"
        raise SchemaError(f"{_where(warehouse)}: {what} failed, and nothing of it is kept: {why}") from error


def _in_use_by(warehouse: Warehouse) -> str:
    """Sessions that use tables of Noria, and what to do about them."""
    with warehouse.transaction() as connection:
        used_by = "; ".join(str(row[0]) for row in connection.execute(_IN_USE_BY)) or "none any more"
    return f"sessions that use tables of ops: {used_by}. Wait for them or end them, then run `noria migrate`"


def _where(warehouse: Warehouse) -> str:
    url = make_url(warehouse.url)
    host = url.host or url.query.get("host") or "localhost"
    return f"database {url.database} on {host}" + (f":{url.port}" if url.port else "")
