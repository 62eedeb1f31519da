"""Keys over HTTP, while the ring follows the table by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from noria.core.base.api_key import Scope
from noria.io.clock import SystemClock
from noria.jobs import access
from noria.settings import Settings
from serving.access.authenticator import make_authenticator
from serving.app import create_app
from serving.http import error_handlers
from tests.serving.access.keys import bearer
from tests.serving.bundles import INSTANCE, USE_CASE


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
