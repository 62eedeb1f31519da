"""`noria keys` as a shell would give it, on a real PostgreSQL; no secret is anywhere but in the one line that shows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from noria.bootstrap import bootstrap
from noria.core.base.api_key import KeyState, Scope, digest, read_key
from noria.core.base.errors import AccessError
from noria.data.tables import api_keys
from noria.jobs import access
from noria.settings import Settings

CREATE = ("keys", "create", "--name", "shop", "--use-case", "flight_delays", "--scope", "predict", "--scope", "feedback")


@pytest.fixture
def noria(tmp_path, warehouse_url, monkeypatch):
    """Runs the command in a home of its own, with a database of its own."""
    for name in [name for name in os.environ if name.startswith("NORIA_")]:
        monkeypatch.delenv(name)
    settings = {"NORIA_HOME": str(tmp_path / "home"), "NORIA_WAREHOUSE_URL": warehouse_url, "COLUMNS": "80"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "noria.cli", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **settings}
        )

    return run


@pytest.fixture
def services(tmp_path, warehouse_url):
    """What the commands work with, in this process."""
    made = bootstrap(Settings(home=tmp_path / "home", warehouse_url=warehouse_url))
    yield made
    made.warehouse.close()


def create(services, **changes):
    fields = {"name": "shop", "use_cases": None, "scopes": [Scope.PREDICT], "actor": "ana", **changes}
    return access.create_key(services, **fields)


def at_once(*calls):
    """Run them at the same time, each in a thread of its own; returns what they returned."""
    start, results = threading.Barrier(len(calls)), []

    def run(call):
        start.wait()
        results.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(calls)
    return results


def actions(services):
    return [event.action.value for event in services.audit.events(access.AUDITED_AS)]


@pytest.fixture
def everything_kept(warehouse_url):
    """All that the database has of keys and of events."""

    def read() -> str:
        with psycopg.connect(warehouse_url) as connection:
            rows = [
                connection.execute(f"select to_jsonb(t) from ops.{table} t").fetchall()
                for table in ("api_keys", "api_key_secrets", "audit")
            ]
        return json.dumps(rows)

    return read


def test_a_key_from_its_making_to_its_end(noria, everything_kept):
    made = noria(*CREATE, "--expires", "90d", "--per-minute", "600")
    assert made.returncode == 0, made.stderr
    first = made.stdout.strip()
    presented = read_key(first)
    assert presented, "the key alone is on standard output"
    assert "shown once" in made.stderr
    assert "predict, feedback on flight_delays" in made.stderr
    assert presented.secret not in made.stderr

    second = noria("keys", "rotate", presented.id, "--grace", "12h").stdout.strip()
    assert read_key(second).id == presented.id
    assert second != first

    listed = noria("keys", "list")
    for told in (presented.id, "shop", "active", "600 requests per minute", "last used: not known", "rotated 20"):
        assert told in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80

    revoked = noria("keys", "revoke", presented.id, "--reason", "the shop was closed")
    again = noria("keys", "revoke", presented.id, "--reason", "to be sure")
    assert ("is revoked" in revoked.stdout, "was revoked before" in again.stdout) == (True, True)
    assert "revoked" in noria("keys", "list").stdout

    events = noria("audit", "list").stdout
    assert re.findall(r"access keys: (key \w+)", events) == ["key created", "key rotated", "key revoked"]
    assert "the shop was closed" in events
    assert noria("audit", "verify").returncode == 0

    kept = everything_kept()
    for key in (first, second):
        secret = read_key(key).secret
        assert digest(secret) in kept
        assert secret not in kept + events + listed.stdout + listed.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create", "--name", "shop"), "--use-case NAME, once for each, or --all-use-cases"),
        (("create", "--name", "shop", "--use-case", "flight_delay"), "no use case 'flight_delay'"),
        (("create", "--name", "a shop", "--all-use-cases"), "cannot be the name of a key"),
        (("create", "--name", "shop", "--all-use-cases", "--expires", "soon"), "--expires soon: write a duration"),
        (("create", "--name", "shop", "--all-use-cases", "--expires", "0d"), "expires at once"),
        (("create", "--name", "shop", "--all-use-cases", "--expires", "9999999w"), "later than any calendar"),
        (("rotate", "AAAAAAAAAAAA"), "there is no key AAAAAAAAAAAA"),
        (("revoke", "shop", "--reason", "x"), "`noria keys list` shows them all"),
    ],
)
def test_impossible_key_is_an_error_in_one_line_and_nothing_is_kept(noria, arguments, why):
    result = noria("keys", *arguments)
    assert result.returncode == 1
    assert why in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_name_twice_and_whole_key_for_an_id_are_errors_without_the_secret(noria):
    key = noria(*CREATE).stdout.strip()
    assert "a key of the name shop already" in noria(*CREATE).stderr
    refused = noria("keys", "revoke", key, "--reason", "pasted the wrong thing")
    assert refused.returncode == 1
    assert f"its id is {read_key(key).id}" in refused.stderr
    assert read_key(key).secret not in refused.stderr


def test_help_teaches_with_an_example(noria):
    assert "noria keys create --name shop" in re.sub(r"\s+", " ", noria("keys", "create", "--help").stdout)
    assert "no key was made yet" in noria("keys", "list").stdout


def test_an_event_that_a_killed_process_left_out_is_added_by_the_next_revocation(services):
    key = create(services).key
    with services.warehouse.transaction() as connection:  # revoked, and killed before the event
        api_keys.revoke(connection, key.id, at=services.clock.now())
    assert actions(services) == ["key_created"]
    for _ in range(2):
        assert access.revoke_key(services, key.id, reason="leaked", actor="ben").already
    assert actions(services) == ["key_created", "key_revoked"]


def test_revocations_at_once_are_one_event(services):
    key = create(services).key
    revoke = lambda: access.revoke_key(services, key.id, reason="leaked", actor="ben")  # noqa: E731
    assert sorted(done.already for done in at_once(revoke, revoke, revoke)) == [False, True, True]
    assert actions(services) == ["key_created", "key_revoked"]


def test_rotations_at_once_each_hand_out_a_secret_and_leave_the_trail_whole(services, everything_kept):
    first = create(services)
    rotate = lambda: access.rotate_key(services, first.key.id, grace=timedelta(days=1), actor="ben")  # noqa: E731
    issued = [first, *at_once(rotate, rotate, rotate)]
    assert len({item.secret.digest for item in issued}) == 4
    kept = everything_kept()
    assert [item for item in issued if item.secret.digest not in kept] == []
    assert services.audit.verify() == 4


def test_two_keys_of_one_name_at_once_are_one_key(services):
    def try_to() -> str:
        try:
            return create(services).key.id
        except AccessError:
            return ""

    ids = at_once(try_to, try_to)
    assert [key.id for key in access.list_keys(services)] == [found for found in ids if found]
    assert len(access.list_keys(services)) == 1
    assert actions(services) == ["key_created"]


def test_without_a_trail_no_key_is_made(services):
    with services.warehouse.transaction() as connection:
        connection.exec_driver_sql("alter table ops.audit rename to elsewhere")
    with pytest.raises(ProgrammingError):
        create(services)
    assert access.list_keys(services) == ()


def test_rights_are_kept_once_and_in_order(services):
    key = create(
        services, use_cases=["hotel_rates", "flight_delays", "hotel_rates"], scopes=[Scope.ADMIN, Scope.PREDICT]
    ).key
    assert (key.use_cases, key.scopes) == (("flight_delays", "hotel_rates"), (Scope.PREDICT, Scope.ADMIN))
    assert key.state(services.clock.now()) is KeyState.ACTIVE
