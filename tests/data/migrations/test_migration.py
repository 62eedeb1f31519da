"""Numbered migrations: what they make, and from which databases."""

from __future__ import annotations

import pytest
from alembic.script import ScriptDirectory

from noria.data.migrations import schema
from noria.data.migrations.schema import check_schema, migrate, read_schema, revisions
from noria.data.postgres.warehouse import Warehouse
from tests.data.migrations.catalogue import catalogue, rows
from tests.data.migrations.revisions import LAST, ROWS, UNNUMBERED, assert_kept, execute, revision_before

# --- what migrations make -------------------------------------------------------------------------------------------------


def test_files_rows_and_alembic_agree_on_the_revisions() -> None:
    scripts = ScriptDirectory.from_config(schema._config())
    assert scripts.get_heads() == [LAST]
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(revisions())
    assert revisions() == tuple(f"{number:04}" for number in range(1, len(revisions()) + 1))
    assert set(ROWS) == set(revisions()), "each migration is tried with rows in the tables that it makes"


@pytest.mark.parametrize("revision", revisions())
def test_each_migration_keeps_the_rows_that_the_one_before_left(copy_of, revision: str) -> None:
    warehouse = copy_of(revision_before(revision))
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
