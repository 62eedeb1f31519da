"""Authentication with real keys in a real PostgreSQL, also while it is down."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.api_key import AccessMode, Scope, new_secret, read_key
from noria.core.base.clock import SystemClock
from noria.core.base.errors import SettingsError
from noria.jobs import access
from noria.settings import Settings
from serving.access.authenticator import Authenticator, make_authenticator
from serving.app import create_app
from serving.contract.errors import ForbiddenError, JournalError, TooManyRequestsError, UnauthenticatedError
from serving.http import error_handlers
from tests.serving.bundles import INSTANCE, USE_CASE

DAY = timedelta(days=1)
EVERYWHERE = "0.0.0.0"  # noqa: S104
DOWN = SecretStr("postgresql://nobody:nothing@127.0.0.1:9/none")


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def public(settings: Settings, table: str) -> Settings:
    """Settings of a server that others reach, with a database."""
    return settings.model_copy(update={"serving_host": EVERYWHERE, "warehouse_url": SecretStr(table)})


@pytest.fixture
def services(public: Settings, clock: SetClock) -> Iterator[Services]:
    made = bootstrap(public, clock)
    yield made
    made.warehouse.close()


@pytest.fixture
def create(services: Services) -> Callable[..., access.IssuedKey]:
    """Makes a key as the command line does."""

    def create(name: str = "shop", **changes) -> access.IssuedKey:
        fields = {"use_cases": [USE_CASE], "scopes": [Scope.PREDICT], "actor": "ana", **changes}
        return access.create_key(services, name=name, **fields)

    return create


@pytest.fixture
def restarted(public: Settings, clock: SetClock) -> Iterator[Callable[..., Authenticator]]:
    """Makes a authenticator as a start does; its ring is refreshed by hand."""
    made: list[Authenticator] = []

    def restarted(**changes) -> Authenticator:
        made.append(make_authenticator(public.model_copy(update=changes), clock))
        return made[-1]

    yield restarted
    for authenticator in made:
        authenticator.keys.stop()


@pytest.fixture
def authenticator(restarted: Callable[..., Authenticator]) -> Authenticator:
    """A authenticator of a server that others reach."""
    return restarted()


def bearer(issued: access.IssuedKey) -> str:
    return f"Bearer {issued.secret.text}"


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
    for header in (mixed, f"Bearer {new_secret(shop.key.id).text}"):
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


# --- PostgreSQL comes and goes -----------------------------------------------------------------------------------------


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


# --- over HTTP, while the ring follows the table by itself ----------------------------------------------------------------


@pytest.fixture
def client(public: Settings) -> Iterator[TestClient]:
    """A small app behind a running authenticator, with the real answers to errors."""
    authenticator = make_authenticator(public.model_copy(update={"serving_poll_seconds": 0.05}), SystemClock())
    app = FastAPI()
    error_handlers.install(app)

    @app.get("/{use_case}")
    async def ask(use_case: str, request: Request) -> dict[str, str]:
        return {"caller": authenticator.authenticate(request.headers.get("authorization"), use_case, Scope.PREDICT).caller}

    authenticator.keys.start()
    with TestClient(app) as client:
        yield client
    authenticator.keys.stop()


def test_a_key_works_and_stops_working_while_serving_runs(client, create, services, eventually):
    shop = create(per_minute=1_000_000)
    headers = {"Authorization": bearer(shop)}

    def status() -> int:
        return client.get(f"/{USE_CASE}", headers=headers).status_code

    eventually(lambda: status() == 200)
    access.revoke_key(services, shop.key.id, reason="leaked", actor="ana")
    eventually(lambda: status() == 401)
    refused = client.get(f"/{USE_CASE}", headers=headers)
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:noria:problem:unauthenticated"
    assert refused.json()["detail"].startswith("the key is not known, or was revoked")


def test_refusals_over_http(client, create, eventually):
    shop = create(per_minute=1)
    headers = {"Authorization": bearer(shop)}
    eventually(lambda: client.get(f"/{USE_CASE}", headers=headers).status_code == 429)
    limited = client.get(f"/{USE_CASE}", headers=headers)
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert limited.headers["ratelimit-limit"] == "1"
    assert client.get("/hotels", headers=headers).status_code == 403


def test_the_app_asks_for_a_key_where_others_reach_it_and_for_none_where_probes_look(public, create):
    shop = create(per_minute=1_000_000)
    with TestClient(create_app(public)) as app:
        url, body = f"/v1/{USE_CASE}/predict", {"instances": [INSTANCE]}
        refused = app.post(url, json=body)
        assert (refused.status_code, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
        assert "noria keys create" in refused.json()["detail"]
        for headers in ({"Authorization": bearer(shop)}, {"X-API-Key": shop.secret.text}):
            answer = app.post(url, json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["ratelimit-limit"] == "1000000"
        assert app.post(f"/v1/{USE_CASE}/feedback", json={}, headers=headers).status_code == 403
        assert [app.get(path).status_code for path in ("/healthz", "/metrics", "/docs", "/openapi.json")] == [200] * 4


def test_an_admin_may_have_the_registry_asked_at_once_and_that_is_written_down(public, create):
    shop, ops = create(per_minute=1_000_000), create("ops", scopes=[Scope.ADMIN])
    with TestClient(create_app(public)) as app:
        url = f"/v1/{USE_CASE}/refresh"
        assert app.post(url).status_code == 401
        assert app.post(url, headers={"Authorization": bearer(shop)}).status_code == 403
        answer = app.post(url, headers={"Authorization": bearer(ops)})
        assert (answer.status_code, answer.json()) == (202, {"status": "asked"})
        assert app.get("/openapi.json").json()["paths"][url]["post"]["operationId"] == f"refresh_{USE_CASE}"
    lines = [json.loads(line) for line in (public.serving_state / "admin.jsonl").read_text().splitlines()]
    assert [(line["caller"], line["action"], line["allowed"]) for line in lines] == [
        ("", f"POST {url}", False),
        ("shop", f"POST {url}", False),
        ("ops", f"POST {url}", True),
    ]


# --- what is written down ----------------------------------------------------------------------------------------------


def test_admin_requests_accepted_and_refused_are_logged(authenticator, public, create):
    shop, ops = create(), create("ops", scopes=[Scope.ADMIN])
    authenticator.keys.refresh()
    authenticator.authenticate(bearer(ops), USE_CASE, Scope.ADMIN, action="take the challenger back")
    for header, error in ((bearer(shop), ForbiddenError), (None, UnauthenticatedError)):
        with pytest.raises(error):
            authenticator.authenticate(header, USE_CASE, Scope.ADMIN, action="take the challenger back")
    path = public.serving_state / "admin.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["caller"], line["allowed"]) for line in lines] == [("ops", True), ("shop", False), ("", False)]
    assert {line["action"] for line in lines} == {"take the challenger back"}


def test_admin_request_unwritable_log_is_refused(authenticator, public, create):
    ops = create(scopes=[Scope.ADMIN])
    authenticator.keys.refresh()
    (public.serving_state / "admin.jsonl").mkdir()
    with pytest.raises(JournalError, match=r"admin\.jsonl: cannot be written"):
        authenticator.authenticate(bearer(ops), USE_CASE, Scope.ADMIN)


@pytest.fixture
def shop(create: Callable[..., access.IssuedKey]) -> access.IssuedKey:
    """A key that may predict."""
    return create()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(" \tBearer", max_size=8),
    after=st.text(" \n\0x", max_size=3),
    kept=st.integers(0, 43),
    use_case=st.sampled_from([USE_CASE, "hotels", ""]),
    scope=st.sampled_from(list(Scope)),
)
def test_no_secret_is_ever_in_a_file_a_log_or_an_answer(
    authenticator, public, shop, caplog, before, after, kept, use_case, scope
):
    """However a key is sent: whole, cut short, in odd company, for the wrong thing."""
    caplog.set_level(logging.DEBUG)
    authenticator.keys.refresh()
    secret = read_key(shop.secret.text).secret
    whole = f"{before}{shop.secret.text}{after}"
    answers = []
    for header in (whole, whole[: len(before) + 19 + kept], f"Bearer {shop.secret.text}"):
        try:
            answers.append(repr(authenticator.authenticate(header, use_case, scope)))
        except (UnauthenticatedError, ForbiddenError) as error:
            answers.append(str(error))
    files = [path.read_text() for path in public.serving_state.iterdir() if path.is_file()]
    assert files, "keys.json"
    everything = "\n".join([*answers, *files, caplog.text])
    assert shop.secret.digest in everything
    assert secret not in everything
    assert kept < 8 or secret[:kept] not in everything
