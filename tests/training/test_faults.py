"""A quick part of `make bench NAME=training_faults`: real jobs in real processes, killed with -9, and run again.

What needs a server of its own to kill, or Airflow, is in the benchmark alone; docs/faults.md has the whole table.
"""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from benchmarks.training_faults import promotion, registration, search, snapshot
from benchmarks.training_faults.finding import Finding, as_markdown
from benchmarks.training_faults.sandbox import Sandbox, sandbox_on
from noria.data.postgres.warehouse import sqlalchemy_url
from noria.local.postgres import PostgresServer
from noria.training.search.storage import connect, connection_was_lost

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def sandbox(postgres: PostgresServer, mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    postgres.create_database("faults")
    with sandbox_on(tmp_path_factory.mktemp("faults"), postgres.url("faults"), mlflow_url, rows=3000) as sandbox:
        yield sandbox
    postgres.drop_database("faults")


@pytest.fixture(scope="module")
def searched(sandbox: Sandbox) -> tuple[str, str]:
    name = sandbox.a_use_case("fitted", training={"trials": 1})
    return name, sandbox.searched(name)


def test_a_killed_snapshot_leaves_nothing_and_is_the_same_again(sandbox):
    for found in (snapshot.killed_while_reading(sandbox), snapshot.killed_while_writing(sandbox)):
        assert found.broken == ()
        assert found.same


def test_a_worker_killed_in_its_trials_loses_these_and_ends_as_if_nobody_had_disturbed_it(sandbox):
    found = search.killed_in_each_trial(sandbox, (3, 8, 11))
    assert found.broken == ()
    assert (found.trials, found.versions, found.same) == (1, (1,), True)


def test_a_connection_lost_between_two_queries_of_a_transaction_is_seen_as_lost(database_url):
    """What Optuna does when its first query is lost: it asks once more, in the same transaction."""
    engine = sa.create_engine(sqlalchemy_url(database_url))

    def ask_twice() -> None:
        with engine.connect() as connection, connect(database_url) as other:
            other.execute("select pg_terminate_backend(%s)", [connection.scalar(sa.text("select pg_backend_pid()"))])
            try:
                connection.execute(sa.text("select 1"))
            except OperationalError:
                connection.execute(sa.text("select 1"))

    with pytest.raises(sa.exc.PendingRollbackError) as caught:
        ask_twice()
    engine.dispose()
    assert connection_was_lost(caught.value)


def test_a_fit_killed_just_before_its_bundle_is_sealed_is_registered_once(sandbox, searched):
    found = registration.killed_at_file(sandbox, *searched, "training-{}/bundle.json")
    assert found.broken == ()
    assert (found.versions, found.same) == ((1,), True)


def test_a_registration_killed_in_its_upload_and_before_its_version_is_registered_once(sandbox, searched):
    writes = registration.writes_of(sandbox, *searched)
    assert (writes[-2:], "file bundle.json" in writes) == (["runs update", "model-versions create"], True)
    moments = (writes.index("file bundle.json"), len(writes) - 1)
    found = registration.killed_between_writes(sandbox, *searched, moments)
    assert found.broken == ()
    assert (found.times, found.versions, found.same) == (2, (1,), True)


def test_a_retry_that_judges_against_another_champion_registers_its_own_bundle(sandbox):
    assert registration.champion_moved_meanwhile(sandbox).broken == ()


@pytest.mark.parametrize("job", ["nominate", "reject", "promote"])
def test_a_move_killed_between_any_two_of_its_writes_is_completed_once(sandbox, job):
    found = promotion.killed_between_steps(sandbox, job)
    assert found.broken == ()
    assert found.times >= 2


def test_broken_guarantee_is_seen(sandbox):
    """The table must be able to say no: a version that was registered behind the step's back counts as a second one."""
    name = sandbox.a_use_case("planted", training={"trials": 1})
    snapshot = sandbox.searched(name)
    sandbox.trained_twice(name)
    found = registration.retried(sandbox, name, snapshot)
    assert any(words.startswith("3 versions") for words in found.broken)
    assert isinstance(found, Finding)
    assert as_markdown([found]).splitlines()[-1].endswith("| NO |")
