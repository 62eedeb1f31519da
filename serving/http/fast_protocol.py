"""Connections: uvicorn's HTTP protocol with a time limit for the head of a request, and the fast path for predictions.

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
"""Time limit of the head of a request: from the connection for the first one, else from its first bytes. Routes limit the
time of a body."""
_BEGUN: Any = {}
"""Placeholder of uvicorn's scope while a request is read: `_in_head` needs to see that one has begun."""
_CLOSE = (b"connection", b"close")
MOST_BYTES = 64 * 1024
"""Largest body here: a larger one has too many instances to be predicted in the event loop."""


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """Close a connection on which the head of a request does not arrive in time.

    uvicorn has no such limit. A few hundred such connections cost their sender nothing, and use up all places.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close)

    def data_received(self, data: bytes) -> None:
        """Read; most requests come complete, and cost two comparisons here."""
        super().data_received(data)
        if self._in_head():
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close, unless a request is on its way in: its answer will ask the client to close."""
        if not self._in_head():
            super().shutdown()

    def _in_head(self) -> bool:
        """Whether a request has begun, and is not yet being answered."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _close(self) -> None:
        self._head_timer = None
        self.transport.close()


class FastProtocol(HeaderTimeoutProtocol):
    """Answer small requests for predictions straight from the parser's callback, when their last byte has come.

    uvicorn makes a task, an event and a dozen dictionaries for a request, which cost more than a prediction. All other
    requests are left to uvicorn, and so are special ones: a body of unknown length, a request that follows another at once,
    a client that does not read its responses.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = self.config.app.state  # type: ignore[union-attr]  # always our app, not a name of one
        self._fast_path: FastPath = state.fast_path
        self._always = b"".join(b"%b: %b\r\n" % header for header in data_headers(state.tls))
        self._name: str | None = None
        """Use case of the request that is being read; None if uvicorn answers it."""
        self._chunks: list[bytes] = []
        self._keep_alive = True
        self._owed = False
        """Whether a request that was read here waits for its response."""
        self._closing = False
        self._answered_at = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        """Begin a request; uvicorn's dictionaries are made only for requests that are left to uvicorn."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = _BEGUN

    def on_headers_complete(self) -> None:
        """Take the request, or leave it to uvicorn."""
        if self._owed:  # responses keep the order of their requests
            self._fast_path.flush()
        self._name = self._fast_use_case()
        if self._name is None:
            self._leave_to_uvicorn()

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
        if not self._fast_path.answer_now(name, query, self.headers, body, self._send):  # the answer has to be waited for
            self._owed = False
            self._leave_to_uvicorn()
            super().on_body(body)
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came within the keep-alive time; else look again when that is over."""
        self._idle_timer = None
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left <= 0 or self.transport.is_closing():
            super().timeout_keep_alive_handler()
        elif self.cycle is None or self.cycle.response_complete:
            self._idle_timer = self.loop.call_later(left, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close after the request that is being read is answered."""
        if self._name is None and not self._owed:
            super().shutdown()
        else:
            self._closing = True

    def _in_head(self) -> bool:
        """Whether a head is incomplete; a complete request that waits for its response has none."""
        return not self._owed and super()._in_head()

    def _leave_to_uvicorn(self) -> None:
        """Let uvicorn read the request from its beginning."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _fast_use_case(self) -> str | None:
        """Use case of a request that can be answered here; None for all others."""
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
        """Bytes of the body; 0 if they are not announced."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value) if value.isdigit() else 0
        return 0

    def _send(self, response: PendingResponse) -> None:
        self._owed = False
        if self.transport.is_closing():
            return
        headers = [*self.server_state.default_headers, *response.headers]
        says_close = _CLOSE in self.server_state.default_headers  # the server is about to stop
        keep_alive = self._keep_alive and not self._closing and not says_close
        if not keep_alive and not says_close:
            headers.append(_CLOSE)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        length = b"content-length: %d\r\n\r\n" % len(response.content)
        self.transport.write(b"".join((STATUS_LINE[response.status], lines, self._always, length, response.content)))
        self.scope = None  # type: ignore[assignment]  # the request is over: `_in_head` reads it
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if not keep_alive:
            self.transport.close()
        elif self._idle_timer is None:  # one timer for all requests: one for each would cost as much as a journal line
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
