"""A steady load by apps that keep their connections and open new ones when they are lost. Every request is accounted for."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

BROKEN = 0
"""A connection that was lost between a request and its answer."""
NOT_CONNECTED = -1
"""Nobody took the request."""
_PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
        request_id: that it was sent with.
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
        """Whose predictions they are."""
        return {version for _, version in self.predictions}


class Load:
    """Apps that ask, in a thread of their own, until the end of the block.

    Args:
        port: on 127.0.0.1.
        use_case: they ask about.
        key: they ask with.
        name: begins each request's id.
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
        self.answers: list[Answer] = []
        """Grows while it runs."""

    def __enter__(self) -> Load:
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
        """Until so many more requests are answered with 200."""
        start, deadline = len(self.answers), time.monotonic() + seconds
        while sum(answer.status == 200 for answer in self.answers[start:]) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {count} requests were answered in {seconds:g} s: {self.answers[-3:]}")
            time.sleep(0.02)

    def wait_for_version(self, version: str, seconds: float = 60) -> None:
        """Until a version answers, on every connection."""
        deadline = time.monotonic() + seconds
        while not self._answers_everywhere(version):
            if time.monotonic() > deadline:
                raise TimeoutError(f"version {version} does not answer everywhere after {seconds:g} s: {self.answers[-3:]}")
            time.sleep(0.02)

    def since(self, start: float) -> Sequence[Answer]:
        """What was sent from an instant on."""
        return [answer for answer in self.answers if answer.sent >= start]

    def _answers_everywhere(self, version: str) -> bool:
        # each connection sends in turn, so the last few rounds have several answers on every one
        last = [answer for answer in self.answers[-4 * self._connections :] if answer.predictions]
        return len(last) >= 2 * self._connections and all(answer.versions == {version} for answer in last)

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
            connection = await self._ask(connection, f"{self._name}-{number}-{turn}", draw)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection[1].close()

    async def _ask(self, connection: Any, request_id: str, draw: random.Random) -> Any:
        """One request; returns the connection for the next one, None where it is lost."""
        sent = time.monotonic()
        try:
            reader, writer = _alive(connection) or await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            self._keep(request_id, sent, NOT_CONNECTED)
            return None
        try:
            writer.write(self._request(request_id, draw))
            status, body = await asyncio.wait_for(_answer(reader), _PATIENCE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            writer.close()
            self._keep(request_id, sent, BROKEN)
            return None
        self._keep(request_id, sent, status, body)
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

    def _keep(self, request_id: str, sent: float, status: int, body: bytes = b"") -> None:
        found = json.loads(body)["predictions"] if status == 200 else []
        predictions = tuple((prediction["id"], prediction["version"]) for prediction in found)
        self.answers.append(Answer(request_id, sent, time.monotonic(), status, predictions))


def _alive(connection: Any) -> Any:
    """The connection, unless the server has closed it since the last answer: every client looks before it sends."""
    if connection is None or connection[0].at_eof() or connection[0].exception() is not None:
        return None
    return connection


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)
