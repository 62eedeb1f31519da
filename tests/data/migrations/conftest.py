"""Databases as each migration left them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.local.postgres import PostgresServer
from tests.data.migrations.catalogue import rows
from tests.data.migrations.revisions import ROWS, execute, revision_before


@pytest.fixture
def database(database_url: str) -> Iterator[Warehouse]:
    """An empty database."""
    warehouse = Warehouse(database_url)
    yield warehouse
    warehouse.close()


@pytest.fixture(scope="session")
def left_by(postgres: PostgresServer) -> Callable[[str | None], str]:
    """Name of a database as a migration left it, with rows in all tables; of an empty one for None."""

    def database(revision: str | None) -> str:
        name = f"left_by_{revision}"
        if revision is None:
            postgres.create_database(name)
        elif name not in made:
            postgres.create_database(name, template=database(revision_before(revision)))
            warehouse = Warehouse(postgres.url(name))
            migrate(warehouse, to=revision)
            execute(warehouse, ROWS[revision])
            assert all(rows(warehouse).values()), f"ROWS[{revision!r}] leaves a table empty"
            warehouse.close()
            made.add(name)
        return name

    made = set[str]()
    return database


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
