"""What the parts of a release see of tables that are not its own: they are refused, and left as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.errors import SchemaError
from noria.data.migrations.schema import check_schema, migrate
from noria.data.postgres.warehouse import Warehouse
from noria.settings import Settings
from tests.data.migrations.catalogue import catalogue, rows
from tests.data.migrations.revisions import LAST, UNNUMBERED, execute


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


@pytest.mark.parametrize(
    ("revision", "disturb", "message"),
    [
        (LAST, "insert into ops.alembic_version values ('0002')", r"several revisions .*\(0002, 0003\)"),
        (LAST, "alter table ops.alembic_version drop column version_num", "cannot be read: column .*version_num"),
        ("0001", "update ops.alembic_version set version_num = '0003'", "states revision 0003.*has tables of revision 0001"),
        (LAST, "drop schema ops cascade; create schema ops; create table ops.alembic_version as select '0003' version_num",
         "states revision 0003.*has no tables of Noria"),
    ],
)  # fmt: skip
def test_a_revision_that_is_not_that_of_the_tables_is_refused(copy_of, revision, disturb, message) -> None:
    warehouse = copy_of(revision)
    execute(warehouse, disturb)
    for refused in (check_schema, migrate):
        with pytest.raises(SchemaError, match=message):
            refused(warehouse)


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
