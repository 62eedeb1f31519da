"""A migration that is in the way of others, refused, killed, or run several times at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from noria.core.base.errors import SchemaError
from noria.data.migrations import schema
from noria.data.migrations.schema import migrate, pending, read_schema, revisions
from noria.data.postgres.locks import holding
from noria.data.postgres.warehouse import Warehouse
from noria.testing.waiting import wait_until
from tests.data.migrations.catalogue import catalogue, rows
from tests.data.migrations.revisions import LAST, assert_kept, execute

FAR = timedelta(minutes=2)  # a wait that no test reaches


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


def test_behind_another_migration_it_says_so_and_gives_up(copy_of, monkeypatch, caplog) -> None:
    monkeypatch.setattr(schema, "_LONGEST_MIGRATION", timedelta(seconds=0.2))
    warehouse = copy_of("0001")
    with holding(warehouse, ("noria.schema",)), pytest.raises(SchemaError, match="another migration has not ended within"):
        migrate(warehouse)
    assert "another migration runs; waiting for it" in caplog.text
    assert [migration.revision for migration in migrate(warehouse)] == list(revisions()[1:])


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
