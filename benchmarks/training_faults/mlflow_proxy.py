"""A proxy in front of MLflow: it forwards requests, counts the writes, and calls an action at one of them.

So a job is killed between any two of its writes without a change to the job. The proxy kills it when the server has done
write n and the job has no answer yet, which is what a lost machine leaves.
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
class MlflowProxy:
    """The state of a proxy.

    Attributes:
        server: MLflow's host and port.
        port: the proxy's own, on 127.0.0.1.
        writes: name of each write since `watch`, in order.
        acted: set once the action was called.
    """

    server: tuple[str, int]
    port: int = 0
    writes: list[str] = field(default_factory=list)
    _after: int | None = None
    _action: Callable[[], None] | None = None
    _half: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    acted: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    def watch(self, after: int | None = None, action: Callable[[], None] | None = None, *, half: bool = False) -> None:
        """Count from 0, and call the action once, after a number of writes and before the next one.

        Args:
            after: number of writes that the server does first; None calls no action. With 0 the first write is not sent.
            action: is called then; the client gets no answer to that write.
            half: whether the server gets half of the next write before the action.
        """
        with self._lock:
            self.writes, self._after, self._action, self._half = [], after, action, half
            self.acted.clear()

    def forward(self, request: _Request) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Status, headers and body of the server's answer; None where the client gets no answer."""
        if not request.writes:
            return self._send(request)
        with self._lock:  # one write at a time, so that "after write n" is one moment
            if self.acted.is_set():
                return None
            if self._half and self._after == len(self.writes):
                self._send_half(request)
            elif self._after != 0:
                answer = self._send(request)
                self.writes.append(request.name)
                if self._half or self._after != len(self.writes):
                    return answer
            self._act()
            return None

    def _act(self) -> None:
        self.acted.set()
        if self._action is not None:
            self._action()

    def _send(self, request: _Request) -> tuple[int, list[tuple[str, str]], bytes]:
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
        """Method and object: `runs create`, `file model.onnx`."""
        path = urlsplit(self.path).path
        if "/mlflow-artifacts/" in path:
            return f"file {path.rsplit('/', 1)[-1]}"
        parts = path.split("/mlflow/")[-1].split("/")
        return f"{self.method.lower() if self.method != 'POST' else ''} {' '.join(parts)}".strip()


@contextmanager
def proxy_for(url: str) -> Iterator[MlflowProxy]:
    """A proxy in front of the MLflow server at a URL, until the end of the block."""
    at = urlsplit(url)
    proxy = MlflowProxy((at.hostname or "127.0.0.1", at.port or 80))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: MlflowProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            try:
                answer = proxy.forward(_Request(self.command, self.path, headers, body))
            except (OSError, http.client.HTTPException):
                answer = None  # the server is down, and so is its proxy
            self.close_connection = True
            if answer is not None:
                self._answer(*answer)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
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
                pass  # the client is dead

        def log_message(self, *_: Any) -> None:
            return

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._forward)
    return Handler
