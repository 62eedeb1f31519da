"""A gate in front of MLflow: it passes requests on, counts the writes, and lets something happen at one of them.

So a step is killed between any two of its writes without a change to the step: the gate kills it when the server has done
write n and the step has not heard of it, which is what a lost machine leaves.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
_READS = ("/search", "/get-history", "/batch")


@dataclass(eq=False)
class Gate:
    """What the gate has seen, and what it is to do.

    Attributes:
        server: MLflow's host and port.
        port: where the gate listens.
        writes: what each write since `on_round` was, in order.
    """

    server: tuple[str, int]
    port: int = 0
    writes: list[str] = field(default_factory=list)
    _after: int | None = None
    _action: Callable[[], None] | None = None
    _half: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    fired: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """What a client takes for MLflow."""
        return f"http://127.0.0.1:{self.port}"

    def on_round(self, after: int | None = None, action: Callable[[], None] | None = None, *, half: bool = False) -> None:
        """Count from nothing, and act once: after so many writes, with that many done and the next one not begun.

        Args:
            after: how many writes the server does first; None acts never. After 0 writes the first one does not reach it.
            action: what happens then; nobody hears an answer to that write.
            half: the write after these is sent to the server half before the action.
        """
        with self._lock:
            self.writes, self._after, self._action, self._half = [], after, action, half
            self.fired.clear()

    def pass_on(self, request: _Request) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Ask the server; None where the request's sender is to hear nothing."""
        if not request.writes:
            return self._ask(request)
        with self._lock:  # writes go one after the other, so that "after write n" means one thing
            if self.fired.is_set():
                return None
            if self._half and self._after == len(self.writes):
                self._send_half(request)
                return self._fire()
            if self._after == 0:
                return self._fire()
            answer = self._ask(request)
            self.writes.append(request.name)
            return self._fire() if self._after == len(self.writes) and not self._half else answer

    def _fire(self) -> None:
        self.fired.set()
        if self._action is not None:
            self._action()

    def _ask(self, request: _Request) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.server, timeout=60)
        try:
            connection.request(request.method, request.path, request.body or None, request.headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _send_half(self, request: _Request) -> None:
        connection = http.client.HTTPConnection(*self.server, timeout=60)
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body[: len(request.body) // 2])


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it changes anything in MLflow."""
        path = urlsplit(self.path).path
        return self.method in ("PUT", "PATCH", "DELETE") or (self.method == "POST" and not path.endswith(_READS))

    @property
    def name(self) -> str:
        """In words: `create runs`, `file model.onnx`."""
        path = urlsplit(self.path).path
        if "/mlflow-artifacts/" in path:
            return f"file {path.rsplit('/', 1)[-1]}"
        parts = path.split("/mlflow/")[-1].split("/")
        return f"{self.method.lower() if self.method != 'POST' else ''} {' '.join(parts)}".strip()


@contextmanager
def gate_before(url: str) -> Iterator[Gate]:
    """A gate in front of the MLflow server at a URL, for as long as the block runs."""
    at = urlsplit(url)
    gate = Gate((at.hostname or "127.0.0.1", at.port or 80))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(gate))
    server.daemon_threads = True
    gate.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            try:
                answer = gate.pass_on(_Request(self.command, self.path, headers, body))
            except (OSError, http.client.HTTPException):
                answer = None  # the server is away: so is the gate
            self.close_connection = True
            if answer is not None:
                self._tell(*answer)

        def _tell(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP | {"content-length", "server", "date"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # whoever asked is dead

        def log_message(self, *_said: Any) -> None:
            return

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)
    return Handler
