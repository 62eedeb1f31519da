"""Keys that are kept on disk, while PostgreSQL comes and goes."""

from __future__ import annotations

import json
import stat

import pytest

from noria.core.base.api_key import Scope
from noria.jobs import access
from serving.contract.errors import UnauthenticatedError
from tests.serving.access.keys import DAY, DOWN, bearer
from tests.serving.bundles import USE_CASE


def test_keys_stay_valid_with_postgresql_down_also_at_start(authenticator, public, create, clock, restarted):
    shop = create(lifetime=DAY)
    authenticator.keys.refresh()
    path = public.serving_state / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = restarted(warehouse_url=DOWN)
    assert again.authenticate(bearer(shop), USE_CASE, Scope.PREDICT).caller == "shop"
    again.keys.refresh()
    assert "keys cannot be read from PostgreSQL" in again.keys.trouble
    assert again.authenticate(bearer(shop), USE_CASE, Scope.PREDICT).caller == "shop"
    clock.at += DAY
    with pytest.raises(UnauthenticatedError):
        again.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 2, "known": {"ever_made": false, "secrets": []}}', b"\xff\xfe"])
def test_a_damaged_file_opens_nothing_and_is_mended_by_the_next_look(authenticator, public, create, damage, restarted):
    shop = create()
    authenticator.keys.refresh()
    path = public.serving_state / "keys.json"
    path.write_bytes(damage)
    again = restarted(serving_host="127.0.0.1")
    for header in (None, bearer(shop)):
        with pytest.raises(UnauthenticatedError):
            again.authenticate(header, USE_CASE, Scope.PREDICT)
    again.keys.refresh()
    again.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    assert json.loads(path.read_bytes())["known"]["ever_made"]


def test_key_file_that_others_may_write_is_not_used(authenticator, public, create, restarted):
    shop = create()
    authenticator.keys.refresh()
    path = public.serving_state / "keys.json"
    path.chmod(0o620)
    with pytest.raises(UnauthenticatedError):
        restarted(warehouse_url=DOWN).authenticate(bearer(shop), USE_CASE, Scope.PREDICT)


def test_key_file_unwritable_is_a_trouble_and_keys_stay_valid(authenticator, public, create):
    shop = create()
    (public.serving_state / "keys.json").mkdir(parents=True)
    authenticator.keys.refresh()
    assert "cannot be kept on disk" in authenticator.keys.trouble
    authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    assert [path.name for path in public.serving_state.iterdir()] == ["keys.json"]


def test_last_use_of_a_key_is_stored(authenticator, create, services, clock, monkeypatch):
    shop = create()
    create("idle")
    authenticator.keys.refresh()
    authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    monkeypatch.setattr("serving.access.key_ring._USED_EVERY_SECONDS", 0.0)
    authenticator.keys.refresh()
    used = {key.name: key.last_used_at for key in access.list_keys(services)}
    assert used == {"shop": clock.at, "idle": None}
