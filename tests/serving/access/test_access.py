"""Rights of real keys in a real PostgreSQL, and who needs none."""

from __future__ import annotations

import pytest

from noria.core.base.api_key import AccessMode, Scope, read_key
from noria.core.base.errors import SettingsError
from noria.jobs import access
from noria.jobs.access import NewSecret
from serving.contract.errors import ForbiddenError, TooManyRequestsError, UnauthenticatedError
from tests.serving.access.keys import DAY, DOWN, bearer
from tests.serving.bundles import USE_CASE

# --- rights of a key -------------------------------------------------------------------------------


def test_authenticate_key_has_only_its_use_cases_and_scopes(authenticator, create):
    shop = create(scopes=[Scope.PREDICT, Scope.FEEDBACK])
    authenticator.keys.refresh()
    for header in (bearer(shop), shop.secret.text, f"bearer  {shop.secret.text}"):
        for _ in range(2):  # hashed the first time, remembered the second
            assert authenticator.authenticate(header, USE_CASE, Scope.PREDICT) == ("shop", ())
    assert authenticator.authenticate(bearer(shop), USE_CASE, Scope.FEEDBACK).caller == "shop"
    with pytest.raises(ForbiddenError, match=r"may predict, feedback on parcels; this needs predict on hotels"):
        authenticator.authenticate(bearer(shop), "hotels", Scope.PREDICT)
    with pytest.raises(ForbiddenError, match="this needs admin on parcels"):
        authenticator.authenticate(bearer(shop), USE_CASE, Scope.ADMIN)
    with pytest.raises(ForbiddenError, match="this needs predict on every use case"):
        authenticator.authenticate(bearer(shop), "", Scope.PREDICT)


def test_authenticate_key_for_all_includes_later_use_cases(authenticator, create):
    every = create(use_cases=None)
    authenticator.keys.refresh()
    assert authenticator.authenticate(bearer(every), "made_tomorrow", Scope.PREDICT).caller == "shop"
    assert authenticator.authenticate(bearer(every), "", Scope.PREDICT).caller == "shop"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Basic c2hvcDpzaG9w", "Bearer noria_x_y", "Bearer \udcff", "\0" * 70_000]
)
def test_authenticate_no_valid_key_names_the_command_that_makes_one(authenticator, create, header):
    create()
    authenticator.keys.refresh()
    with pytest.raises(UnauthenticatedError, match=r"noria keys create --name <app> --use-case parcels --scope predict"):
        authenticator.authenticate(header, USE_CASE, Scope.PREDICT)


def test_authenticate_refusal_does_not_repeat_the_path(authenticator):
    with pytest.raises(UnauthenticatedError) as refused:
        authenticator.authenticate(None, "x; rm -rf /", Scope.PREDICT)
    assert "rm -rf" not in str(refused.value)


def test_the_right_secret_under_another_id_is_refused(authenticator, create):
    shop, other = create(), create("other")
    authenticator.keys.refresh()
    mixed = f"Bearer noria_{other.key.id}_{read_key(shop.secret.text).secret}"
    for header in (mixed, f"Bearer {NewSecret.draw(shop.key.id).text}"):
        with pytest.raises(UnauthenticatedError, match="is not known"):
            authenticator.authenticate(header, USE_CASE, Scope.PREDICT)


def test_a_key_expires_by_the_clock_without_another_look_at_the_table(authenticator, create, clock):
    shop = create(lifetime=DAY)
    authenticator.keys.refresh()
    authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    clock.at += DAY
    with pytest.raises(UnauthenticatedError, match=f"noria keys rotate {shop.key.id}"):
        authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)


def test_rotated_key_both_secrets_are_valid_until_the_grace_ends(authenticator, create, services, clock):
    old = create(per_minute=2)
    new = access.rotate_key(services, old.key.id, grace=DAY, actor="ana")
    authenticator.keys.refresh()
    for issued in (old, new):
        authenticator.authenticate(bearer(issued), USE_CASE, Scope.PREDICT)
    with pytest.raises(TooManyRequestsError):  # two secrets, one key, one limit
        authenticator.authenticate(bearer(new), USE_CASE, Scope.PREDICT)
    clock.at += DAY
    with pytest.raises(UnauthenticatedError, match="has a newer secret"):
        authenticator.authenticate(bearer(old), USE_CASE, Scope.PREDICT)


def test_limited_key_gets_rate_limit_headers_and_retry_after(authenticator, create):
    shop = create(per_minute=2)
    authenticator.keys.refresh()
    first = dict(authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT, rows=500).headers)
    assert (first[b"ratelimit-limit"], first[b"ratelimit-remaining"]) == (b"2", b"1")
    authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    authenticator.keys.refresh()  # does not fill the bucket
    with pytest.raises(TooManyRequestsError) as refused:
        authenticator.authenticate(bearer(shop), USE_CASE, Scope.PREDICT)
    assert 0 < refused.value.retry_after <= 30
    assert dict(refused.value.headers)[b"ratelimit-remaining"] == b"0"


# --- without keys ------------------------------------------------------------------------------------------------------


def test_this_machine_needs_no_key_until_there_is_one_and_from_then_on_always(create, services, restarted):
    local = restarted(serving_host="127.0.0.1")
    local.keys.refresh()
    assert local.authenticate(None, USE_CASE, Scope.PREDICT) == ("", ())
    shop = create()
    local.keys.refresh()
    with pytest.raises(UnauthenticatedError):
        local.authenticate(None, USE_CASE, Scope.PREDICT)
    access.revoke_key(services, shop.key.id, reason="closed", actor="ana")
    local.keys.refresh()
    again = restarted(serving_host="127.0.0.1", warehouse_url=DOWN)
    for authenticator in (local, again):  # to revoke the last key must not open the door
        with pytest.raises(UnauthenticatedError):
            authenticator.authenticate(None, USE_CASE, Scope.PREDICT)


def test_others_need_a_key_even_while_there_is_none(restarted):
    for mode in (AccessMode.AUTO, AccessMode.KEYS):
        with pytest.raises(UnauthenticatedError, match="noria keys create"):
            restarted(serving_access=mode).authenticate(None, USE_CASE, Scope.PREDICT)
    with pytest.raises(UnauthenticatedError):
        restarted(serving_access=AccessMode.KEYS, serving_host="127.0.0.1").authenticate(None, USE_CASE, Scope.PREDICT)


def test_open_is_for_this_machine_alone(create, restarted):
    create()
    local = restarted(serving_access=AccessMode.OPEN, serving_host="::1")
    local.keys.refresh()
    assert local.authenticate(None, USE_CASE, Scope.PREDICT) == ("", ())
    with pytest.raises(SettingsError, match="NORIA_SERVING_ACCESS=keys"):
        restarted(serving_access=AccessMode.OPEN)
