"""A load generator: requests over a few connections that are kept, the next one sent when the last is answered.

It is an asyncio protocol that looks for the end of an answer and no more, so that one core can ask faster than any of the
servers answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

import uvloop


class RequestFailedError(Exception):
    """A request was not answered with 200."""


@dataclass(frozen=True)
class LoadResult:
    """The answered requests of one run.

    Attributes:
        answered: number of requests.
        seconds: length of the run.
        latencies: of each request, in ms, shortest first.
    """

    answered: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.answered / self.seconds

    def percentile(self, percent: float) -> float:
        """In ms."""
        return self.latencies[min(int(len(self.latencies) * percent / 100), len(self.latencies) - 1)]


@dataclass
class _Run:
    """What the connections of one run share."""

    requests: Sequence[bytes]
    until: float
    latencies: list[float] = field(default_factory=list)
    turns: Iterator[int] = field(default_factory=count)

    def next_request(self) -> bytes:
        return self.requests[next(self.turns) % len(self.requests)]


def http_request(path: str, body: bytes, headers: Sequence[str] = ()) -> bytes:
    """The bytes of a POST of JSON."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers)
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> LoadResult:
    """Send requests for some seconds.

    Args:
        port: on 127.0.0.1.
        requests: are sent in turn.
        connections: at once.
        seconds: after which no more is sent.

    Raises:
        RequestFailedError: a request was not answered with 200.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(port, requests, connections, seconds))


async def _drive(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> LoadResult:
    loop = asyncio.get_running_loop()
    started = perf_counter()
    run = _Run(requests, started + seconds)
    done = [loop.create_future() for _ in range(connections)]
    for future in done:
        await loop.create_connection(partial(_Connection, run, future), "127.0.0.1", port)
    await asyncio.gather(*done)
    return LoadResult(len(run.latencies), perf_counter() - started, tuple(sorted(run.latencies)))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, done: asyncio.Future[None]) -> None:
        self._run = run
        self._done = done
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        if not is_whole(received):
            return
        now = perf_counter()
        if not received.startswith(b"HTTP/1.1 200"):
            self._end(RequestFailedError(received[:600].decode(errors="replace")))
            return
        self._run.latencies.append((now - self._sent) * 1000)
        self._received = b""
        if now < self._run.until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(RequestFailedError(f"the connection was closed ({exc})"))

    def _send(self) -> None:
        self._sent = perf_counter()
        self._transport.write(self._run.next_request())

    def _end(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error) if error else self._done.set_result(None)
        self._transport.close()


def is_whole(received: bytes) -> bool:
    """Whether an answer has arrived to its last byte."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = received[:end].lower()
    place = head.find(b"content-length:")
    if place < 0:
        return b"chunked" in head and received.endswith(b"0\r\n\r\n")
    return len(received) >= end + 4 + int(head[place + 15 :].split(b"\r\n", 1)[0])
