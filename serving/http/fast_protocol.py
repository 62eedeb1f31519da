"""Connections: uvicorn's HTTP protocol with a limit of time for the head of a request, and a short way for predictions.

This is the only file that uses uvicorn's private state; `tests/serving/http/test_uvicorn_state.py` lists what it uses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.http.predict_response import PendingResponse, use_case_of
from serving.http.security_headers import data_headers

if TYPE_CHECKING:
    from serving.http.fast_path import FastPath

HEAD_SECONDS = 30.0
"""How long the head of a request may take: from the connection for the first one, else from its first bytes. How long a
body may take is the routes' matter."""
_BEGUN: Any = {}
"""Stands for uvicorn's scope while a request is read: `_in_head` wants to see that one has begun."""
_CLOSE = (b"connection", b"close")
MOST_BYTES = 64 * 1024
"""Of a body: what is larger holds too many instances to be predicted in the event loop."""


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """Close a connection on which the head of a request does not arrive in time.

    uvicorn would wait for ever. A few hundred such connections cost their sender nothing, and take all places.
    """

    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._hurry = self.loop.call_later(HEAD_SECONDS, self._close)

    def data_received(self, data: bytes) -> None:
        """Read on; most requests come whole, and cost two comparisons here."""
        super().data_received(data)
        if self._in_head():
            if self._hurry is None:
                self._hurry = self.loop.call_later(HEAD_SECONDS, self._close)
        elif self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close, unless a request is on its way in: its answer will ask the client to close."""
        if not self._in_head():
            super().shutdown()

    def _in_head(self) -> bool:
        """A request has begun, and is not yet what is being answered."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _close(self) -> None:
        self._hurry = None
        self.transport.close()


class FastProtocol(HeaderTimeoutProtocol):
    """Answer small requests for predictions straight from the parser's callback, when their last byte has come.

    uvicorn makes a task, an event and a dozen dictionaries for a request, which cost more than a prediction. All other
    requests go uvicorn's way, and so does any doubtful one: a body that is not announced, a request that follows another
    at once, a client that does not read its answers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.config.app.state  # type: ignore[union-attr]  # always our app, not a name of one
        self._fast_path: FastPath = state.fast_path
        self._always = b"".join(b"%b: %b\r\n" % header for header in data_headers(state.tls))
        self._name: str | None = None
        """Use case of the request that is being read, where it is one for here."""
        self._chunks: list[bytes] = []
        self._keep_alive = True
        self._owed = False
        """Whether a request that was read here waits for its answer."""
        self._leaving = False
        self._answered_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        """Begin a request; uvicorn's dictionaries are made when it turns out to be one for uvicorn."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = _BEGUN

    def on_headers_complete(self) -> None:
        """Take the request, or leave it to uvicorn."""
        if self._owed:  # answers keep the order of their requests
            self._fast_path.flush()
        self._name = self._taken()
        if self._name is None:
            self._leave()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._name is None:
            super().on_body(body)
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self._name is None:
            super().on_message_complete()
            return
        name, body = self._name, b"".join(self._chunks)
        self._name = None
        self._chunks.clear()
        _, _, query = self.url.partition(b"?")
        self._keep_alive = self.parser.should_keep_alive()
        self._owed = True
        if not self._fast_path.answer_now(name, query, self.headers, body, self._send):  # it has to be waited for
            self._owed = False
            self._leave()
            super().on_body(body)
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came for as long as that; else look again when it could be so."""
        self._alarm = None
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left <= 0 or self.transport.is_closing():
            super().timeout_keep_alive_handler()
        elif self.cycle is None or self.cycle.response_complete:
            self._alarm = self.loop.call_later(left, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close when what is being read has been answered."""
        if self._name is None and not self._owed:
            super().shutdown()
        else:
            self._leaving = True

    def _in_head(self) -> bool:
        """A request that is read and waits for its answer is not one that somebody never ends."""
        return not self._owed and super()._in_head()

    def _leave(self) -> None:
        """Let uvicorn have the request, of which it has not heard yet."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _taken(self) -> str | None:
        """Use case of a request that can be answered here."""
        parser = self.parser
        path, _, _ = self.url.partition(b"?")
        if parser.get_method() != b"POST" or not path.endswith(b"/predict") or b"%" in path or not path.isascii():
            return None
        name = use_case_of(path.decode("ascii"))
        idle = self.cycle is None or self.cycle.response_complete
        if name is None or not idle or self.flow.write_paused or self.expect_100_continue or parser.should_upgrade():
            return None
        limit = self.limit_concurrency
        crowded = limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)
        small = 0 < self._announced() <= MOST_BYTES
        return name if small and not crowded and parser.get_http_version() == "1.1" else None

    def _announced(self) -> int:
        """Bytes of the body; 0 where they are not announced."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value) if value.isdigit() else 0
        return 0

    def _send(self, reply: PendingResponse) -> None:
        self._owed = False
        if self.transport.is_closing():
            return
        headers = [*self.server_state.default_headers, *reply.headers]
        told_to_close = _CLOSE in self.server_state.default_headers  # the server is about to stop
        keep_alive = self._keep_alive and not self._leaving and not told_to_close
        if not keep_alive and not told_to_close:
            headers.append(_CLOSE)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        length = b"content-length: %d\r\n\r\n" % len(reply.content)
        self.transport.write(b"".join((STATUS_LINE[reply.status], lines, self._always, length, reply.content)))
        self.scope = None  # type: ignore[assignment]  # the request is over: `_in_head` goes by it
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if not keep_alive:
            self.transport.close()
        elif self._alarm is None:  # one timer for all requests: one for each would cost what its journal line does
            self._alarm = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
