"""Keys in real tables: only digests are kept, and what is asked twice or at once ends in one state."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest
import sqlalchemy as sa

from noria.core.base.api_key import ApiKey, KeyState, Scope
from noria.core.base.errors import AccessError
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables import api_keys
from noria.jobs.access import NewSecret

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def empty(warehouse_url):
    warehouse = Warehouse(warehouse_url)
    yield warehouse
    warehouse.close()


def a_key(**changes) -> ApiKey:
    fields = {
        "id": token_hex(6),
        "name": "shop",
        "use_cases": ("flight_delays",),
        "scopes": (Scope.PREDICT, Scope.FEEDBACK),
        "per_minute": 600,
        "created_at": NOW,
        "created_by": "ana",
    }
    return ApiKey(**{**fields, **changes})


def add(warehouse, key) -> str:
    secret = NewSecret.draw(key.id)
    with warehouse.transaction() as connection:
        api_keys.add(connection, key, secret.digest)
    return secret.digest


def secrets_of(warehouse, key_id) -> dict[str, datetime | None]:
    query = sa.text("select digest, valid_until from ops.api_key_secrets where key_id = :id")
    with warehouse.transaction() as connection:
        return {row.digest: row.valid_until for row in connection.execute(query, {"id": key_id})}


@pytest.mark.parametrize("changes", [{}, {"use_cases": None, "per_minute": None, "expires_at": NOW + DAY}])
def test_a_key_comes_back_as_it_was_kept(empty, changes):
    key = a_key(**changes)
    digest = add(empty, key)
    with empty.transaction() as connection:
        assert api_keys.all_keys(connection) == (key,)
        assert api_keys.find(connection, key.id) == key
    assert secrets_of(empty, key.id) == {digest: None}


def test_a_name_belongs_to_one_key_until_that_is_revoked(empty):
    first = a_key()
    add(empty, first)
    with pytest.raises(AccessError, match="a key of the name shop already"):
        add(empty, a_key())
    with empty.transaction() as connection:
        assert not api_keys.revoke(connection, first.id, at=NOW).already
    second = a_key(created_at=NOW + DAY)
    add(empty, second)
    with empty.transaction() as connection:
        assert [key.state(NOW) for key in api_keys.all_keys(connection)] == [KeyState.REVOKED, KeyState.ACTIVE]


def test_revoking_twice_keeps_the_first_instant(empty):
    key = a_key()
    add(empty, key)
    with empty.transaction() as connection:
        api_keys.revoke(connection, key.id, at=NOW)
        again = api_keys.revoke(connection, key.id, at=NOW + DAY)
    assert (again.already, again.key.revoked_at) == (True, NOW)


def test_older_secrets_are_let_in_as_long_as_was_said_and_no_longer(empty):
    key = a_key()
    first = add(empty, key)
    second, third = NewSecret.draw(key.id).digest, NewSecret.draw(key.id).digest
    with empty.transaction() as connection:
        rotated = api_keys.rotate(connection, key.id, second, at=NOW, old_until=NOW + DAY)
        assert rotated.rotated_at == NOW
        api_keys.rotate(connection, key.id, third, at=NOW, old_until=NOW + 2 * DAY)
    assert secrets_of(empty, key.id) == {first: NOW + DAY, second: NOW + 2 * DAY, third: None}


def test_a_revoked_or_expired_key_is_not_brought_back_by_a_new_secret(empty):
    expired, revoked = a_key(expires_at=NOW), a_key(name="other")
    for key in (expired, revoked):
        add(empty, key)
    digest = NewSecret.draw(expired.id).digest
    with empty.transaction() as connection:
        api_keys.revoke(connection, revoked.id, at=NOW)
    for key, why in ((expired, "has expired"), (revoked, "was revoked")):
        with pytest.raises(AccessError, match=why), empty.transaction() as connection:
            api_keys.rotate(connection, key.id, digest, at=NOW, old_until=NOW)
    with empty.transaction() as connection:
        longer = api_keys.rotate(connection, expired.id, digest, at=NOW, old_until=NOW, expires_at=NOW + DAY)
    assert longer.state(NOW) is KeyState.ACTIVE


def test_unknown_key_is_an_error(empty):
    with pytest.raises(AccessError, match="there is no key AAAAAAAAAAAA"), empty.transaction() as connection:
        api_keys.find(connection, "AAAAAAAAAAAA")


def test_rotations_at_the_same_time_each_give_a_secret_that_is_let_in(empty):
    """Nobody who was shown a key finds it refused: one rotation waits for the other, and gives it its grace."""
    key = a_key()
    first = add(empty, key)
    digests = [NewSecret.draw(key.id).digest for _ in range(4)]
    start = threading.Barrier(len(digests))

    def rotate(digest):
        start.wait()
        with empty.transaction() as connection:
            api_keys.rotate(connection, key.id, digest, at=NOW, old_until=NOW + DAY)

    threads = [threading.Thread(target=rotate, args=(digest,)) for digest in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = secrets_of(empty, key.id)
    assert kept.keys() == {first, *digests}
    assert sorted(kept.values(), key=str) == [NOW + DAY] * len(digests) + [None]
