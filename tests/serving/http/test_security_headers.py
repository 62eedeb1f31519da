"""What every answer tells a browser, and that our own pages still work under it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.app import create_app
from serving.http.security_headers import SecurityHeaders

ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}


class Loaded(HTMLParser):
    """What a page runs and loads: inline scripts, addresses, and attributes that would be script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.handlers += [name for name in values if name.startswith("on")]
        if tag in ("script", "img", "link", "iframe"):
            self.addresses += [values[name] for name in ("src", "href") if name in values]
        self._in_script = tag == "script" and "src" not in values

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)
            self._in_script = False


def policy_of(answer) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


@pytest.fixture
def serving(settings):
    with TestClient(SecurityHeaders(create_app(settings)), base_url="http://127.0.0.1") as client:
        yield client


def test_response_to_an_unforeseen_error_has_security_headers(settings):
    app = create_app(settings)
    app.router.add_route("/surprise", lambda _request: 1 / 0)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.get("/surprise")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:noria:problem:internal-error")
    assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
    assert policy_of(answer)["default-src"] == ["'none'"]


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/swagger", "/healthz", "/metrics", "/openapi.json", "/nothing/here"])
def test_every_response_has_security_headers(serving, path):
    answer = serving.get(path)
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert answer.headers["cache-control"] == "no-store"
    assert policy_of(answer)["default-src"] == ["'none'"]
    assert policy_of(answer)["frame-ancestors"] == ["'none'"]
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_our_pages_run_their_own_scripts_and_nothing_else(serving, path):
    answer = serving.get(path)
    page, policy = Loaded(answer.text), policy_of(answer)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in page.scripts]
    assert set(hashes) <= set(policy["script-src"])
    assert "'unsafe-inline'" not in policy["script-src"]
    assert page.handlers == []
    assert [address for address in page.addresses if not address.startswith("data:")] == []
    assert policy["connect-src"] == ["'self'"]  # the form's fetch
    if path == "/docs":
        assert hashes, "the form has a script"


def test_swagger_policy_allows_its_scripts(serving):
    answer = serving.get("/docs/swagger")
    policy, page = policy_of(answer), Loaded(answer.text)
    allowed = [source for name in ("script-src", "style-src", "img-src") for source in policy[name]]
    assert page.addresses
    assert [address for address in page.addresses if "/".join(address.split("/")[:3]) not in allowed] == []


def test_response_header_of_its_own_is_kept():
    def page(_request):
        return HTMLResponse("x", headers={"Cache-Control": "max-age=60", "Content-Security-Policy": "default-src 'self'"})

    client = TestClient(SecurityHeaders(Starlette(routes=[Route("/", page)])))
    answer = client.get("/")
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_https_alone_is_asked_for_where_https_is_in_front():
    app = Starlette(routes=[Route("/", lambda _request: JSONResponse({})), Route("/bare", lambda _request: Response())])
    for tls in (True, False):
        answers = [TestClient(SecurityHeaders(app, tls=tls)).get(path) for path in ("/", "/bare")]
        assert [bool(re.search("max-age=31536000", str(answer.headers))) for answer in answers] == [tls, tls]
