"""A steady load by apps that keep their connections, and open new ones when these are lost. Every request is recorded."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from noria.testing.waiting import wait_until

BROKEN = 0
"""A connection that was lost between a request and its answer."""
NOT_CONNECTED = -1
"""The server did not accept a connection."""
_ANSWER_SECONDS = 30.0
_LAST = 50
"""Requests that are looked at to see whether serving refuses."""


@dataclass(frozen=True)
class RequestRecord:
    """One request and its answer.

    Attributes:
        request_id: value of its X-Request-Id.
        sent, got: monotonic seconds.
        status: of HTTP; `BROKEN` or `NOT_CONNECTED` where there was none.
        predictions: id and version of each; none unless the status is 200.
    """

    request_id: str
    sent: float
    got: float
    status: int
    predictions: tuple[tuple[str, str], ...] = ()

    @property
    def versions(self) -> set[str]:
        """The versions that predicted."""
        return {version for _, version in self.predictions}


class AppLoad:
    """Apps that send requests, in a thread of their own, until the end of the block.

    Args:
        port: of serving, on 127.0.0.1.
        use_case: name of the use case.
        key: API key.
        name: first part of each request's id.
        rate: requests per second, of all of them.
        connections: at once.
        rows: instances in a request.
    """

    def __init__(
        self, port: int, use_case: str, key: str, name: str, *, rate: float = 200, connections: int = 16, rows: int = 1
    ) -> None:
        self._port = port
        self._path = f"/v1/{use_case}/predict"
        self._key = key
        self._name = name
        self._pause = connections / rate
        self._connections = connections
        self._rows = rows
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self.requests: list[RequestRecord] = []
        """Grows while it runs."""

    def __enter__(self) -> AppLoad:
        self._thread.start()
        try:
            self.wait_for(20)
        except TimeoutError:
            self._stopping.set()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait until so many more requests are answered with 200."""
        start = len(self.requests)
        self._wait(
            lambda: sum(request.status == 200 for request in self.requests[start:]) >= count,
            f"{count} requests are answered",
            seconds,
        )

    def wait_for_version(self, version: str, seconds: float = 60) -> None:
        """Wait until a version answers on every connection."""
        self._wait(lambda: self._answers_everywhere(version), f"version {version} answers on every connection", seconds)

    def wait_for_refusals(self, seconds: float = 90) -> None:
        """Wait until most of the last requests are answered with 503."""
        self._wait(
            lambda: sum(each.status == 503 for each in self.requests[-_LAST:]) >= _LAST / 2, "503 is answered", seconds
        )

    def wait_for_no_refusals(self, seconds: float = 90) -> None:
        """Wait until all of the last requests are answered with 200."""
        self._wait(lambda: all(each.status == 200 for each in self.requests[-_LAST:]), "200 is answered again", seconds)

    def since(self, start: float) -> Sequence[RequestRecord]:
        """Requests that were sent at an instant (monotonic seconds) or later."""
        return [request for request in self.requests if request.sent >= start]

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        wait_until(condition, lambda: f"{what}; the last requests: {self.requests[-3:]}", seconds=seconds, pause=0.02)

    def _answers_everywhere(self, version: str) -> bool:
        # each connection sends in turn, so the last few rounds have several answers on every one
        last = [request for request in self.requests[-4 * self._connections :] if request.predictions]
        return len(last) >= 2 * self._connections and all(request.versions == {version} for request in last)

    async def _run(self) -> None:
        await asyncio.gather(*(self._app(number) for number in range(self._connections)))

    async def _app(self, number: int) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        draw = random.Random(number)
        await asyncio.sleep(self._pause * number / self._connections)
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            due = time.monotonic() + self._pause
            connection = await self._send(connection, f"{self._name}-{number}-{turn}", draw)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection[1].close()

    async def _send(self, connection: Any, request_id: str, draw: random.Random) -> Any:
        """One request; returns the connection for the next one, None where it is lost."""
        sent = time.monotonic()
        try:
            reader, writer = _alive(connection) or await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            self._record(request_id, sent, NOT_CONNECTED)
            return None
        try:
            writer.write(self._request(request_id, draw))
            status, body = await asyncio.wait_for(_answer(reader), _ANSWER_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            writer.close()
            self._record(request_id, sent, BROKEN)
            return None
        self._record(request_id, sent, status, body)
        return reader, writer

    def _request(self, request_id: str, draw: random.Random) -> bytes:
        rows = [{"weight": draw.uniform(0, 70), "hour": 19, "depot": "north"} for _ in range(self._rows)]
        body = json.dumps(
            {"instances": [row | {"parcel_id": f"{request_id}-{place}"} for place, row in enumerate(rows)]}
        ).encode()
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _record(self, request_id: str, sent: float, status: int, body: bytes = b"") -> None:
        found = json.loads(body)["predictions"] if status == 200 else []
        predictions = tuple((prediction["id"], prediction["version"]) for prediction in found)
        self.requests.append(RequestRecord(request_id, sent, time.monotonic(), status, predictions))


def _alive(connection: Any) -> Any:
    """The connection; None where the server has closed it since the last answer, which every client checks."""
    if connection is None or connection[0].at_eof() or connection[0].exception() is not None:
        return None
    return connection


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)
