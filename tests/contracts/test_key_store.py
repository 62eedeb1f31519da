"""The contract of the KeyStore port, held against the fake and against PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest

from noria.core.base.api_key import ApiKey, KeyState, Scope
from noria.core.base.errors import AccessError
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.api_keys import PostgresKeyStore
from noria.ports.key_store import KeyChanges, KeyStore
from noria.testing.fakes.key_store import InMemoryKeyStore
from tests.contracts.stores import REFUSED

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> Iterator[KeyStore]:
    if request.param == "memory":
        yield InMemoryKeyStore()
        return
    warehouse = Warehouse(request.getfixturevalue("warehouse_url"))
    yield PostgresKeyStore(warehouse)
    warehouse.close()


def a_key(name: str = "shop", **changes: object) -> ApiKey:
    key = ApiKey(token_hex(6), name, ("parcels",), (Scope.PREDICT, Scope.FEEDBACK), 60, NOW, "ana")
    return replace(key, **changes)


def added(store: KeyStore, key: ApiKey, digest: str = "5" * 64) -> ApiKey:
    with store.transaction() as keys:
        keys.add(key, digest)
    return key


def all_keys(store: KeyStore) -> tuple[ApiKey, ...]:
    with store.transaction() as keys:
        return keys.all_keys()


def test_add_keeps_every_field_and_lists_the_oldest_first(store):
    newer = added(store, a_key("shop", created_at=NOW + DAY, expires_at=NOW + 2 * DAY), "6" * 64)
    older = added(store, a_key("office", use_cases=None, per_minute=None))
    assert all_keys(store) == (older, newer)


def test_add_with_a_name_in_use_is_refused_until_the_key_is_revoked(store):
    first = added(store, a_key())
    with pytest.raises(AccessError, match="a key of the name shop already"):
        added(store, a_key(), "6" * 64)
    with store.transaction() as keys:
        assert not keys.revoke(first.id, at=NOW).already
    added(store, a_key(), "7" * 64)
    assert sorted(key.state(NOW) for key in all_keys(store)) == [KeyState.ACTIVE, KeyState.REVOKED]


@pytest.mark.parametrize("wrong", [{"id": "short"}, {"scopes": ()}, {"per_minute": 0}])
def test_add_of_a_key_that_can_do_nothing_is_refused(store, wrong):
    with pytest.raises(REFUSED):
        added(store, a_key(**wrong))
    assert all_keys(store) == ()


@pytest.mark.parametrize("same", ["id", "digest"])
def test_add_with_an_id_or_a_digest_that_is_there_is_refused(store, same):
    first = added(store, a_key())
    with pytest.raises(REFUSED):
        added(store, replace(first, name="office") if same == "id" else a_key("office"), ("6" if same == "id" else "5") * 64)
    assert all_keys(store) == (first,)


def test_rotate_to_a_digest_that_is_there_is_refused(store):
    first = added(store, a_key())
    with pytest.raises(REFUSED), store.transaction() as keys:
        keys.rotate(first.id, "5" * 64, at=NOW, old_until=NOW)
    assert all_keys(store) == (first,)


def test_transaction_with_an_exception_keeps_nothing(store):
    with pytest.raises(AccessError), store.transaction() as keys:
        added_then_refused(keys)
    assert all_keys(store) == ()


def added_then_refused(keys: KeyChanges) -> None:
    keys.add(a_key(), "5" * 64)
    keys.revoke("A" * 12, at=NOW)


def test_revoke_twice_keeps_the_first_instant(store):
    key = added(store, a_key())
    with store.transaction() as keys:
        keys.revoke(key.id, at=NOW)
        again = keys.revoke(key.id, at=NOW + DAY)
    assert (again.already, again.key.revoked_at) == (True, NOW)


def test_rotate_says_when_and_may_move_the_expiry(store):
    key = added(store, a_key(expires_at=NOW + DAY))
    with store.transaction() as keys:
        assert keys.rotate(key.id, "6" * 64, at=NOW, old_until=NOW + DAY) == replace(key, rotated_at=NOW)
        later = keys.rotate(key.id, "7" * 64, at=NOW + DAY, old_until=NOW, expires_at=NOW + 9 * DAY)
    assert all_keys(store) == (later,) == (replace(key, rotated_at=NOW + DAY, expires_at=NOW + 9 * DAY),)


@pytest.mark.parametrize(
    ("changes", "message"), [({"revoked_at": NOW}, "was revoked"), ({"expires_at": NOW}, "has expired")]
)
def test_rotate_of_a_key_that_is_refused_is_an_error(store, changes, message):
    key = added(store, a_key(**{name: at for name, at in changes.items() if name != "revoked_at"}))
    if "revoked_at" in changes:
        with store.transaction() as keys:
            keys.revoke(key.id, at=NOW)
    with store.transaction() as keys, pytest.raises(AccessError, match=message):
        keys.rotate(key.id, "6" * 64, at=NOW, old_until=NOW)


@pytest.mark.parametrize("change", ["rotate", "revoke"])
def test_change_of_an_unknown_key_is_an_error(store, change):
    with store.transaction() as keys, pytest.raises(AccessError, match="there is no key AAAAAAAAAAAA"):
        keys.revoke("A" * 12, at=NOW) if change == "revoke" else keys.rotate("A" * 12, "5" * 64, at=NOW, old_until=NOW)
