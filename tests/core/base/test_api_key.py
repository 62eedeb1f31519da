"""What a key is: its text, what is kept of it, and which addresses need none."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.api_key import (
    ApiKey,
    KeyState,
    Scope,
    check_id,
    check_name,
    is_loopback,
    read_key,
)
from noria.core.base.errors import AccessError

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
TEXT = f"noria_AbCdEfGh1234_{'x-Y_0' * 8}abc"
URL_SAFE = string.ascii_letters + string.digits + "-_"


def a_key(**changes):
    fields = {"id": "AbCdEfGh1234", "name": "shop", "use_cases": None, "scopes": (Scope.PREDICT,), "per_minute": None}
    return ApiKey(**{**fields, "created_at": NOW, "created_by": "ana", **changes})


@given(st.text(URL_SAFE, min_size=43, max_size=43), st.text(string.ascii_letters + string.digits, min_size=12, max_size=12))
def test_key_is_split_at_the_right_place_for_any_secret(secret, key_id):
    assert read_key(f"noria_{key_id}_{secret}") == (key_id, secret)


@given(st.text(max_size=80))
def test_other_texts_are_no_keys(text):
    assert read_key(text) is None
    assert read_key(f"noria_{text}") is None or len(text) == 56


@pytest.mark.parametrize("change", [str.upper, lambda key: key + "\n", lambda key: " " + key, lambda key: key[:-1]])
def test_nothing_is_put_right_silently(change):
    assert read_key(change(TEXT)) is None


@pytest.mark.parametrize("name", ["shop", "web-shop.v2", "A_1", "x" * 64])
def test_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a shop", "-shop", "shöp", "x" * 65, "shop\n"])
def test_no_names(name):
    with pytest.raises(AccessError, match="cannot be the name of a key"):
        check_name(name)


def test_a_whole_key_in_place_of_its_id_is_not_repeated():
    with pytest.raises(AccessError, match="its id is AbCdEfGh1234") as refused:
        check_id(TEXT)
    assert read_key(TEXT).secret not in str(refused.value)
    with pytest.raises(AccessError, match=re.escape("`noria keys list`")):
        check_id("shop")


def test_a_key_is_refused_from_its_last_instant_on_and_once_revoked():
    key = a_key(expires_at=NOW)
    assert key.state(NOW - timedelta(microseconds=1)) is KeyState.ACTIVE
    assert key.state(NOW) is KeyState.EXPIRED
    assert a_key(revoked_at=NOW).state(NOW - timedelta(days=1)) is KeyState.REVOKED
    assert a_key().state(datetime.max.replace(tzinfo=UTC)) is KeyState.ACTIVE


def test_rights_in_words():
    assert a_key().may == "predict on every use case"
    assert a_key(scopes=(Scope.PREDICT, Scope.ADMIN), use_cases=("a", "b")).may == "predict, admin on a, b"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_addresses_of_this_machine_alone(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "", "localhost.example.com", "2130706433"])  # noqa: S104
def test_addresses_that_others_reach(host):
    assert not is_loopback(host)
