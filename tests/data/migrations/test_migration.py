"""Numbered migrations: what they make, from which databases, and what happens when one is disturbed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.errors import SchemaError
from noria.data.migrations import schema
from noria.data.migrations.schema import check_schema, migrate, pending, read_schema, revisions
from noria.data.postgres.warehouse import Warehouse
from noria.local.postgres import PostgresServer
from noria.settings import Settings
from noria.testing.waiting import wait_until
from tests.data.migrations.catalogue import catalogue, rows

LAST = revisions()[-1]
# SQL of the releases before numbered migrations, by the revision whose tables it makes.
UNNUMBERED = {path.stem: path.read_text() for path in (Path(__file__).parent / "unnumbered").glob("*.sql")}
# Rows for the tables that each migration makes.
ROWS = {
    "0001": """
        insert into ops.ingested values ('parcels', 'scans', '2024-01-01Z', '2024-02-01Z', 3, '2024-02-01Z');
        insert into ops.reference_tables values ('parcels', 'depots', 'abc', 3, '2024-02-01Z');
        insert into ops.quarantined values ('parcels', '2024-01-01Z', '2024-02-01Z');
        insert into ops.predictions values
            (gen_random_uuid(), 'parcels', '1', '2024-02-01Z', 'a', '{"weight": 1}', 0.75, true, 0.5, 1),
            (gen_random_uuid(), 'parcels', '1', '2024-02-01Z', null, '{}', 0.25, false, 0.5, 1);
        insert into ops.batch_predictions values
            ('parcels', 'a', '2024-02-01Z', '1', 0.75, true), ('parcels', 'b', '2024-02-01Z', '1', 0.25, false);
        insert into ops.verdicts values ('parcels', '2024-01-01Z', '2024-02-01Z', '1', 'ok', '{}', '', '2024-02-01Z');
        insert into ops.ledger values ('parcels', '2024-01-01Z', '2024-02-01Z', '1', 3, 2, 1.5, 1, 0.5, 'EUR');
        insert into ops.deliveries values ('k', 'parcels', '<m>', 'Parcels', '{a@example.com}', '2024-02-01Z');
        insert into ops.retrain_requests values ('parcels', '2024-02-01Z', 'drift', 'r', '2024-02-01Z');
        insert into ops.audit values (1, '2024-02-01Z', 'parcels', 'promoted', '1', '0', null, 'ana', 'good', '{}', '', 'h');
    """,
    "0002": """
        insert into ops.predictions values
            (gen_random_uuid(), 'hotels', '1', '2024-02-01Z', 'a', '{}', 95.5, '95.5', null, 1, '{"a": 1}');
    """,
    "0003": """
        insert into ops.feedback values
            (gen_random_uuid(), 'parcels', null, 'a', '2024-02-01Z', 'true', '2024-02-02Z', '2024-02-02Z');
        insert into ops.api_keys values ('abcdefghijkl', 'shop', null, '{predict}', null, '2024-02-01Z', 'ana');
        insert into ops.api_key_secrets values (repeat('a', 64), 'abcdefghijkl', '2024-02-01Z', null);
    """,
}
FAR = timedelta(minutes=2)  # a wait that no test reaches


def execute(warehouse: Warehouse, sql: str) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(sql.replace("%", "%%"))


@pytest.fixture
def database(database_url: str) -> Iterator[Warehouse]:
    """An empty database."""
    warehouse = Warehouse(database_url)
    yield warehouse
    warehouse.close()


@pytest.fixture(scope="module")
def left_by(postgres: PostgresServer) -> Callable[[str | None], str]:
    """Name of a database as a migration left it, with rows in all tables; of an empty one for None."""

    def database(revision: str | None) -> str:
        name = f"left_by_{revision}"
        if revision is None:
            postgres.create_database(name)
        elif name not in made:
            postgres.create_database(name, template=database(_before(revision)))
            warehouse = Warehouse(postgres.url(name))
            migrate(warehouse, to=revision)
            execute(warehouse, ROWS[revision])
            assert all(rows(warehouse).values()), f"ROWS[{revision!r}] leaves a table empty"
            warehouse.close()
            made.add(name)
        return name

    made = set[str]()
    return database


def _before(revision: str) -> str | None:
    index = revisions().index(revision)
    return revisions()[index - 1] if index else None


@pytest.fixture
def copy_of(postgres: PostgresServer, left_by: Callable[[str | None], str]) -> Iterator[Callable[[str | None], Warehouse]]:
    """A copy of the database that a migration left."""
    made: list[tuple[str, Warehouse]] = []

    def copy(revision: str | None) -> Warehouse:
        name = f"test_{uuid.uuid4().hex[:12]}"
        postgres.create_database(name, template=left_by(revision))
        made.append((name, Warehouse(postgres.url(name))))
        return made[-1][1]

    yield copy
    for name, warehouse in made:
        warehouse.close()
        postgres.drop_database(name)


def assert_kept(before: dict[str, list[dict[str, str | None]]], after: dict[str, list[dict[str, str | None]]]) -> None:
    """Every value is still there, in the same column."""
    for table, kept in before.items():
        now = [{name: row[name] for name in kept[0]} for row in after[table]]
        assert sorted(map(str, now)) == sorted(map(str, kept)), table


# --- what migrations make -------------------------------------------------------------------------------------------------


def test_files_rows_and_alembic_agree_on_the_revisions() -> None:
    scripts = ScriptDirectory.from_config(schema._config())
    assert scripts.get_heads() == [LAST]
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(revisions())
    assert revisions() == tuple(f"{number:04}" for number in range(1, len(revisions()) + 1))
    assert set(ROWS) == set(revisions()), "each migration is tried with rows in the tables that it makes"


@pytest.mark.parametrize("revision", revisions())
def test_each_migration_keeps_the_rows_that_the_one_before_left(copy_of, revision: str) -> None:
    warehouse = copy_of(_before(revision))
    before = rows(warehouse)
    assert [migration.revision for migration in migrate(warehouse, to=revision)] == [revision]
    assert_kept(before, rows(warehouse))
    assert read_schema(warehouse).revision == revision


@pytest.mark.parametrize("revision", sorted(UNNUMBERED))
def test_migrations_make_the_tables_of_the_releases_before_them(copy_of, database: Warehouse, revision: str) -> None:
    execute(database, UNNUMBERED[revision])
    assert catalogue(copy_of(revision)) == catalogue(database)


@pytest.mark.parametrize(
    "change",
    [
        "alter table ops.ledger add column note text",
        "alter table ops.ledger alter column currency drop not null",
        "alter table ops.ledger alter column currency set default 'EUR'",
        "alter table ops.ledger add check (cost >= 0)",
        "create index planted on ops.ledger (version)",
        "comment on column ops.ledger.cost is 'planted'",
        "comment on table ops.ledger is 'planted'",
        "drop trigger audit_is_append_only on ops.audit",
        "drop schema optuna",
    ],
)
def test_the_comparison_of_two_databases_sees_each_kind_of_change(copy_of, change: str) -> None:
    warehouse = copy_of(LAST)
    before = catalogue(warehouse)
    execute(warehouse, change)
    assert catalogue(warehouse) != before


# --- from which databases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commented", [True, False])
@pytest.mark.parametrize("revision", sorted(UNNUMBERED))
def test_a_database_of_a_release_before_numbers_is_adopted(copy_of, database, revision: str, commented: bool) -> None:
    execute(database, UNNUMBERED[revision])
    for number in sorted(UNNUMBERED):
        if number <= revision:
            execute(database, ROWS[number])
    if commented:
        execute(database, "comment on schema ops is 'd41d8cd98f00b204e9800998ecf8427e'")
    before = rows(database)
    assert read_schema(database).unnumbered
    applied = migrate(database)
    assert [migration.revision for migration in applied] == [
        number for number in revisions() if number > revision or revision == "0001"
    ]
    assert_kept(before, rows(database))
    assert catalogue(database) == catalogue(copy_of(LAST))
    check_schema(database)


def test_a_database_with_some_of_the_first_tables_is_completed(copy_of, database: Warehouse) -> None:
    some = UNNUMBERED["0001"].partition("-- Verdicts of monitoring")[0]
    execute(database, some.replace("create table if not exists ops.reference_tables", "create temporary table not_there"))
    migrate(database)
    assert catalogue(database) == catalogue(copy_of(LAST))


def test_migrating_again_does_nothing(copy_of) -> None:
    warehouse = copy_of(LAST)
    before = catalogue(warehouse), rows(warehouse)
    assert migrate(warehouse) == ()
    assert (catalogue(warehouse), rows(warehouse)) == before


# --- what other parts see -------------------------------------------------------------------------------------------------


@pytest.fixture
def services_on(tmp_path: Path) -> Iterator[Callable[[Warehouse], Services]]:
    """Services of a job on a database."""
    made: list[Services] = []

    def services(warehouse: Warehouse) -> Services:
        made.append(bootstrap(Settings(home=tmp_path, use_cases=tmp_path, warehouse_url=SecretStr(warehouse.url))))
        return made[-1]

    yield services
    for each in made:
        each.database.close()


def test_missing_and_older_tables_are_refused_until_they_are_migrated(copy_of, services_on) -> None:
    expected = {
        None: "has no tables of Noria, and this release needs revision",
        "0001": "has Noria's tables of revision 0001, and this release needs revision",
    }
    for revision, message in expected.items():
        services = services_on(copy_of(revision))
        with pytest.raises(SchemaError, match=message) as caught:
            services.warehouse.transaction()
        assert "run `noria migrate`" in str(caught.value)
        assert "on 127.0.0.1:" in str(caught.value)
        assert "postgres:" not in str(caught.value), "no password in a message"
        migrate(services.database)
        assert services.warehouse is services.database


def test_unnumbered_tables_are_refused_until_they_are_migrated(database: Warehouse, services_on) -> None:
    execute(database, UNNUMBERED["0003"])
    services = services_on(database)
    with pytest.raises(SchemaError, match=r"a release before numbered migrations.*run `noria migrate`"):
        services.warehouse.transaction()
    assert migrate(services.database) == ()
    assert services.warehouse is services.database


def test_an_older_release_refuses_newer_tables_and_leaves_them(copy_of, services_on) -> None:
    warehouse = copy_of(LAST)
    execute(warehouse, "update ops.alembic_version set version_num = '9999'")
    before = catalogue(warehouse), rows(warehouse)
    for refused in (lambda: services_on(warehouse).warehouse, lambda: migrate(warehouse)):
        with pytest.raises(SchemaError, match=r"tables of revision 9999.*this release knows.*use the release that migrated"):
            refused()
    assert (catalogue(warehouse), rows(warehouse)) == before


def test_the_check_asks_twice_and_does_not_load_alembic(copy_of) -> None:
    code = (
        "import sys; from noria.data.migrations.schema import *; from noria.data.postgres.warehouse import Warehouse\n"
        "from sqlalchemy import event\n"
        "warehouse, asked = Warehouse(sys.argv[1]), []\n"
        "warehouse.engine.connect().close()\n"
        "event.listen(warehouse.engine, 'before_cursor_execute', lambda *a: asked.append(a[2]))\n"
        "check_schema(warehouse); print(len(asked), 'alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, copy_of(LAST).url], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["2", "False"]


# --- when one is disturbed ------------------------------------------------------------------------------------------------


def test_behind_a_long_reader_a_migration_gives_up_and_blocks_nobody_for_longer(copy_of) -> None:
    warehouse = copy_of("0001")
    before = catalogue(warehouse), rows(warehouse)
    with warehouse.transaction() as reader:
        reader.exec_driver_sql("select count(*) from ops.batch_predictions")
        pid = reader.exec_driver_sql("select pg_backend_pid()").scalar()
        with pytest.raises(SchemaError) as caught:
            migrate(warehouse, lock_timeout=timedelta(seconds=0.3))
        with warehouse.transaction() as other:  # nothing waits in front of it
            other.exec_driver_sql("set local statement_timeout = '2s'")
            other.exec_driver_sql("select count(*) from ops.batch_predictions")
    message = str(caught.value)
    assert "migration 0002" in message
    assert "nothing of it is kept: waited 0.3 s for a table in use" in message
    assert re.search(rf"pid {pid}, unnamed, idle in transaction since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ", message), message
    assert message.endswith("then run `noria migrate`")
    assert (catalogue(warehouse), rows(warehouse)) == before
    assert [migration.revision for migration in migrate(warehouse)] == list(revisions()[1:])


def test_a_statement_that_postgresql_refuses_is_rolled_back_with_its_migration(copy_of) -> None:
    warehouse = copy_of("0001")
    execute(warehouse, "create table ops.feedback (id int)")  # in the way of 0003
    with pytest.raises(SchemaError, match=r"migration 0003 .* failed, and nothing of it is kept: .*already exists"):
        migrate(warehouse)
    assert read_schema(warehouse).revision == "0002"
    execute(warehouse, "drop table ops.feedback")
    assert [migration.revision for migration in migrate(warehouse)] == list(revisions()[2:])
    assert catalogue(warehouse) == catalogue(copy_of(LAST))


def test_a_kill_in_the_middle_leaves_the_migration_before_and_the_next_run_goes_on(copy_of, tmp_path) -> None:
    warehouse = copy_of("0001")
    before = catalogue(warehouse), rows(warehouse)
    settings = {"NORIA_HOME": str(tmp_path), "NORIA_WAREHOUSE_URL": warehouse.url}
    command = [sys.executable, "-m", "noria.cli", "migrate", "--lock-timeout", "120"]
    with warehouse.transaction() as blocker:  # 0002 has changed one table when it comes to this one
        blocker.exec_driver_sql("select count(*) from ops.batch_predictions")
        process = subprocess.Popen(command, env={**os.environ, **settings})
        _wait_until_blocked(warehouse)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not _sessions(warehouse, "true"))
    assert (catalogue(warehouse), rows(warehouse)) == before
    assert [migration.revision for migration in migrate(warehouse)] == list(revisions()[1:])
    assert_kept(before[1], rows(warehouse))


@pytest.mark.parametrize("start", [None, "0001"])
def test_two_at_once_do_it_once(copy_of, start: str | None) -> None:
    warehouse, barrier = copy_of(start), threading.Barrier(4)

    def run(_: int):
        own = Warehouse(warehouse.url)
        barrier.wait()
        try:
            return migrate(own, lock_timeout=FAR)
        finally:
            own.close()

    expected = pending(read_schema(warehouse))
    with ThreadPoolExecutor(4) as pool:
        applied = sorted(pool.map(run, range(4)), key=len)
    assert applied == [(), (), (), expected]
    assert catalogue(warehouse) == catalogue(copy_of(LAST))


def _wait_until_blocked(warehouse: Warehouse) -> None:
    wait_until(lambda: _sessions(warehouse, "wait_event_type = 'Lock'"))


def _sessions(warehouse: Warehouse, which: str) -> int:
    """Number of other sessions on the database that have work under way."""
    with warehouse.transaction() as connection:
        query = (
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            f"and state <> 'idle' and {which}"
        )
        return connection.exec_driver_sql(query).scalar() or 0
