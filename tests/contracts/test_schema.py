"""The contract of the Schema port, held against the fake and against PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from noria.core.base.errors import SchemaError
from noria.data.migrations.schema import PostgresSchema
from noria.data.postgres.warehouse import Warehouse
from noria.ports.schema import Schema
from noria.testing.fakes.schema import InMemorySchema

WAIT = timedelta(seconds=5)


class MemoryDatabase:
    """The fake."""

    def __init__(self) -> None:
        self._fake = InMemorySchema()
        self.schema: Schema = self._fake

    def make_newer(self) -> None:
        self._fake.revision = "9999"


class PostgresDatabase:
    """An empty database."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.schema: Schema = PostgresSchema(warehouse)

    def make_newer(self) -> None:
        with self._warehouse.transaction() as connection:
            connection.execute(sa.text("update ops.alembic_version set version_num = '9999'"))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def database(request: pytest.FixtureRequest) -> Iterator[MemoryDatabase | PostgresDatabase]:
    if request.param == "memory":
        yield MemoryDatabase()
        return
    warehouse = Warehouse(request.getfixturevalue("database_url"))
    yield PostgresDatabase(warehouse)
    warehouse.close()


def test_every_migration_is_pending_in_an_empty_database_and_none_afterwards(database):
    schema = database.schema
    pending = schema.pending(schema.read())
    assert schema.read().revision is None
    assert [one.revision for one in pending] == sorted(one.revision for one in pending)
    applied = []
    assert schema.migrate(lock_timeout=WAIT, on_applied=applied.append) == tuple(applied) == pending
    assert schema.read().revision == pending[-1].revision
    assert schema.pending(schema.read()) == ()
    assert schema.migrate(lock_timeout=WAIT, on_applied=applied.append) == ()
    assert tuple(applied) == pending


def test_an_error_after_a_commit_keeps_what_was_committed(database):
    def stop(migration):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.schema.migrate(lock_timeout=WAIT, on_applied=stop)
    assert database.schema.read().revision == "0001"


def test_newer_tables_are_refused(database):
    database.schema.migrate(lock_timeout=WAIT, on_applied=lambda _: None)
    database.make_newer()
    with pytest.raises(SchemaError, match=r"9999.*knows revisions up to \d{4}"):
        database.schema.read()
    with pytest.raises(SchemaError, match="9999"):
        database.schema.migrate(lock_timeout=WAIT, on_applied=lambda _: None)
