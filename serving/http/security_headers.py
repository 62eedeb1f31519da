"""Security headers of every answer: no sniffing, no framing, no caching, and which scripts may run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TEMPLATES = Path(__file__).parents[1] / "openapi" / "templates"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CDN = "https://cdn.jsdelivr.net"
_Headers = tuple[tuple[bytes, bytes], ...]
_PLAIN: _Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_NO_STORE = (b"cache-control", b"no-store")
_DATA = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""Of answers that are no page: nothing in them is ever run or loaded."""
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Adds them to every answer; an answer that has one already keeps its own. Goes outside of all else.

    Args:
        app: what answers.
        tls: whether callers come by HTTPS, so that browsers may be asked to use nothing else.
    """

    def __init__(self, app: ASGIApp, tls: bool = False) -> None:
        self._app = app
        always = _always(tls)
        self._data = data_headers(tls)
        self._page = (*always, (b"content-security-policy", _page_policy()), _NO_STORE)
        self._pages = {"/docs/swagger": (*always, (b"content-security-policy", _swagger_policy()), _NO_STORE)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._added(scope["path"], list(message.get("headers", ())))
            await send(message)

        await self._app(scope, receive, with_headers)

    def _added(self, path: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        html = False
        given = set()
        for name, value in headers:
            lower = name.lower()
            given.add(lower)
            if lower == b"content-type" and value.startswith(b"text/html"):
                html = True
        ours = self._pages.get(path, self._page) if html else self._data
        if b"cache-control" in given or b"content-security-policy" in given:
            ours = tuple(header for header in ours if header[0] not in given)
        headers.extend(ours)
        return headers


def data_headers(tls: bool) -> _Headers:
    """Headers of every answer that is no page.

    Args:
        tls: whether callers come by HTTPS.
    """
    return (*_always(tls), _DATA, _NO_STORE)


def _always(tls: bool) -> _Headers:
    return (*_PLAIN, _HSTS) if tls else _PLAIN


def _policy(parts: Mapping[str, str]) -> bytes:
    return "; ".join(f"{name} {value}" for name, value in parts.items()).encode("ascii")


@cache
def _page_policy() -> bytes:
    """For our own pages: styles within the page, and of scripts exactly those that our templates have."""
    scripts = [script for path in sorted(_TEMPLATES.glob("*.html")) for script in _SCRIPT.findall(path.read_text("utf-8"))]
    return _policy(
        {
            "default-src": "'none'",
            "script-src": " ".join(_hash(script) for script in scripts) or "'none'",
            "style-src": "'unsafe-inline'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
    )


def _swagger_policy() -> bytes:
    """For Swagger UI: its scripts and styles come from a content delivery network, and a few lines start it."""
    return _policy(
        {
            "default-src": "'none'",
            "script-src": f"{_CDN} 'unsafe-inline'",
            "style-src": f"{_CDN} 'unsafe-inline'",
            "img-src": "'self' data: https://fastapi.tiangolo.com",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
    )


def _hash(script: str) -> str:
    """Hash that lets one script run: a browser computes the same over what stands between the tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}'"
