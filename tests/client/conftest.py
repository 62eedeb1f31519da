"""A local server with scripted answers, and the two clients behind one interface."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from noria.client import AsyncNoriaClient, NoriaClient, Retries
from tests.serving.conftest import StartedServing, serve, settings, use_cases

__all__ = ["StartedServing", "serve", "settings", "use_cases"]


@dataclass(frozen=True)
class Said:
    """One answer, given after an event; status 0 breaks the connection instead."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: threading.Event | None = None


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    content: Any


class Scripted:
    """A real HTTP server. What it should say next stands in `script`; after that it predicts true for every request."""

    def __init__(self) -> None:
        self.script: list[Said] = []
        self.heard: list[Heard] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def next(self, heard: Heard) -> Said:
        self.heard.append(heard)
        return self.script.pop(0) if self.script else Said(200, predicted(heard.content))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Scripted

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", 0))
        content = json.loads(self.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = self.owner.next(Heard(self.command, self.path, headers, content))
        if said.after is not None:
            said.after.wait(60)
        elif said.status:
            self._answer(said)
        self.close_connection = True

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, said: Said) -> None:
        content = said.content if isinstance(said.content, bytes) else json.dumps(said.content).encode()
        self.send_response(said.status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def predicted(content: Any) -> dict[str, Any]:
    """An answer for everything in a request; the id is what was asked."""
    asked = [] if content is None else next(iter(content.values()))
    found = [{"id": json.dumps(item), "score": 0.75, "decision": True, "threshold": 0.5, "version": "3"} for item in asked]
    return {"use_case": "parcels", "version": "3", "predictions": found, "new_field": 1}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Asks with a new client; returns the answer, and how long the client waited in between."""

    def ask(url: str, method: str, *args: Any, waits: list[float] | None = None, settings: Any = None, **more: Any) -> Any:
        kept = [] if waits is None else waits
        options = {"retries": Retries(first=0.0), "timeout": 120.0, **(settings or {})}
        if request.param == "sync":
            with NoriaClient(url, sleep=kept.append, **options) as client:
                return getattr(client, method)(*args, **more)

        async def asynchronous() -> Any:
            async def sleep(seconds: float) -> None:
                kept.append(seconds)

            async with AsyncNoriaClient(url, sleep=sleep, **options) as client:
                return await getattr(client, method)(*args, **more)

        return asyncio.run(asynchronous())

    return ask
