"""The fast path over real connections: the same answers as through ASGI, in order, for requests at once or in pieces."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from noria.settings import Settings
from tests.serving.bundles import INSTANCE, USE_CASE, Bundle
from tests.serving.conftest import StartedServing

pytestmark = pytest.mark.slow

PATH = f"/v1/{USE_CASE}/predict"


@pytest.fixture
def server(
    serve: Callable[[Settings], StartedServing],
    settings: Settings,
    on_disk: Callable[..., None],
    make_bundle: Callable[..., Bundle],
) -> Iterator[StartedServing]:
    """A server with a trained version, from disk."""
    on_disk(make_bundle(1), "3")
    return serve(settings)


def request(*instances: dict[str, Any], path: str = PATH, head: str = "", body: bytes | None = None) -> bytes:
    content = json.dumps({"instances": list(instances)}).encode() if body is None else body
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Wire:
    """One connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and content of the next answer."""
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        content = self._file.read(int(headers["content-length"]))
        return status, headers, json.loads(content)

    def is_closed(self) -> bool:
        return self._file.read(1) == b""


def score_of(answer: tuple[int, dict[str, str], dict[str, Any]]) -> float:
    status, _, content = answer
    assert status == 200, content
    (prediction,) = content["predictions"]
    return float(prediction["score"])


def test_requests_on_one_connection_are_answered_in_their_order(server: StartedServing) -> None:
    expected = [server.predict(hour=hour)["score"] for hour in range(24)]
    assert len(set(expected)) > 10
    with Wire(server.port) as wire:
        wire.send(b"".join(request({**INSTANCE, "hour": hour}) for hour in range(24)))
        assert [score_of(wire.answer()) for _ in range(24)] == expected


def test_slow_request_among_quick_ones_keeps_its_place(server: StartedServing) -> None:
    many = [INSTANCE] * 150
    with Wire(server.port) as wire:
        wire.send(request(INSTANCE) + request(*many) + request(INSTANCE) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.send(request({"hour": "x"}) + request(INSTANCE))
        found = [wire.answer() for _ in range(6)]
    assert [status for status, _, _ in found] == [200, 200, 200, 200, 422, 200]
    assert [len(content.get("predictions", ())) for _, _, content in found] == [1, 150, 1, 0, 0, 1]


def test_a_request_in_pieces_is_answered_when_it_is_whole(server: StartedServing) -> None:
    with Wire(server.port) as wire:
        for byte in request(INSTANCE):
            wire.send(bytes([byte]))
        assert score_of(wire.answer()) == server.predict()["score"]


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        ("", False),
        ("Connection: close\r\n", True),
        ("Connection: keep-alive\r\n", False),
        ("Expect: 100-continue\r\n", False),
    ],
)
def test_the_connection_is_kept_or_closed_as_asked(server: StartedServing, head: str, closes: bool) -> None:
    with Wire(server.port) as wire:
        wire.send(request(INSTANCE, head=head))
        if "Expect" in head:
            assert wire._file.readline().startswith(b"HTTP/1.1 100")
            wire._file.readline()
        status, headers, _ = wire.answer()
        assert (status, headers.get("connection")) == (200, "close" if closes else None)
        if closes:
            assert wire.is_closed()
        else:
            wire.send(request(INSTANCE))
            assert wire.answer()[0] == 200


def test_a_body_that_is_not_announced_is_read_too(server: StartedServing) -> None:
    content = json.dumps({"instances": [INSTANCE]}).encode()
    with Wire(server.port) as wire:
        wire.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for part in (content[:10], content[10:]):
            wire.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        wire.send(b"0\r\n\r\n")
        assert score_of(wire.answer()) == server.predict()["score"]


def test_the_quick_way_and_the_slow_way_look_the_same(server: StartedServing) -> None:
    """A body in gzip goes through ASGI; a response must not show which way it took."""
    plain = server.client.post(PATH, json={"instances": [INSTANCE]})
    packed = gzip.compress(json.dumps({"instances": [INSTANCE]}).encode())
    slow = server.client.post(PATH, content=packed, headers={"content-encoding": "gzip"})
    assert (plain.status_code, slow.status_code) == (200, 200)
    assert plain.headers.keys() == slow.headers.keys()
    (one,), (other,) = plain.json()["predictions"], slow.json()["predictions"]
    assert {**one, "id": ""} == {**other, "id": ""}


def test_many_callers_at_once_get_the_answers_of_single_requests(server: StartedServing) -> None:
    instances = [{**INSTANCE, "hour": number % 24, "weight": number / 7} for number in range(300)]
    expected = [server.predict(**instance)["score"] for instance in instances]

    async def ask() -> list[float]:
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=120, limits=limits) as client:
            answers = await asyncio.gather(*(client.post(PATH, json={"instances": [one]}) for one in instances))
        return [answer.json()["predictions"][0]["score"] for answer in answers]

    # the runtime may add up the terms of one row in another order than those of many
    assert asyncio.run(ask()) == pytest.approx(expected, abs=1e-6)


def test_one_bad_request_among_many_spoils_no_other(server: StartedServing) -> None:
    bad = [{**INSTANCE, "hour": "19"}, {**INSTANCE, "weight": True}, {**INSTANCE, "unknown": 1}]

    async def ask() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:
            sent = [INSTANCE, *bad] * 15
            answers = await asyncio.gather(*(client.post(PATH, json={"instances": [one]}) for one in sent))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200, 422, 422, 422] * 15


def test_each_prediction_is_in_the_journal_under_its_own_request(server: StartedServing) -> None:
    async def ask() -> dict[str, str]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:
            names = [f"request-{number}" for number in range(40)]
            answers = await asyncio.gather(
                *(client.post(PATH, json={"instances": [INSTANCE]}, headers={"X-Request-Id": name}) for name in names)
            )
        assert [answer.headers["x-request-id"] for answer in answers] == names
        return {answer.json()["predictions"][0]["id"]: answer.headers["x-request-id"] for answer in answers}

    answered = asyncio.run(ask())
    server.stop()
    lines = b"".join(path.read_bytes() for path in (server.settings.serving_state / "journal").glob("*.jsonl"))
    kept = [json.loads(line) for line in lines.splitlines()]
    assert {one["id"]: line["request_id"] for line in kept for one in line["predictions"]} == answered


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_method_gets_405_with_the_right_one(server: StartedServing, method: str) -> None:
    answer = server.client.request(method, PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["type"] == "urn:noria:problem:method-not-allowed"


def test_a_request_id_is_taken_over_if_it_is_sane(server: StartedServing) -> None:
    for name, kept in (("order-7:a.b_c", True), ("a b", False), ("x" * 200, False)):
        answer = server.client.post(PATH, json={"instances": [INSTANCE]}, headers={"X-Request-Id": name})
        assert (answer.headers["x-request-id"] == name) is kept
        if not kept:
            assert uuid.UUID(answer.headers["x-request-id"]).version == 7


def test_gzip_that_is_none_and_gzip_that_unpacks_to_too_much_are_refused(server: StartedServing) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    for body, status in ((b"{}", 400), (bomb, 413), (gzip.compress(b"{}")[:-4], 400)):
        answer = server.client.post(PATH, content=body, headers={"content-encoding": "gzip"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_large_response_is_packed_for_callers_that_unpack(server: StartedServing) -> None:
    body = {"instances": [INSTANCE] * 300}
    packed = server.client.post(PATH, json=body)
    plain = server.client.post(PATH, json=body, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len(packed.json()["predictions"]) == len(plain.json()["predictions"]) == 300
