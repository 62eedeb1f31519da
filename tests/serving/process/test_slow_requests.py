"""A connection is closed on a request that never ends, and kept where requests are answered."""

from __future__ import annotations

import socket
import threading
import time

import httpx
import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.http import fast_protocol as protocol
from serving.process.listener import listen_on
from serving.process.server import Server
from tests.serving.process.load import predict_request

pytestmark = pytest.mark.slow


def answer_of(port, *pieces, pause=0.02):
    """What a client gets that sends its request in pieces; empty where the connection was closed on it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        return connection.recv(65536)


def test_incomplete_request_is_closed_after_the_time_limit(monkeypatch, unused_port, eventually):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    app = FastAPI()
    app.get("/")(lambda: "here")
    server = Server(app, 0, protocol=protocol.HeaderTimeoutProtocol)
    listeners = listen_on("127.0.0.1", unused_port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners})
    thread.start()
    try:
        eventually(lambda: server.started)
        head, rest = b"GET / HTTP/1.1\r\nHost: he", b"re\r\n\r\n"
        assert answer_of(unused_port) == b""
        assert answer_of(unused_port, head) == b""
        assert answer_of(unused_port, head, rest).endswith(b'"here"')
        with httpx.Client() as client:  # a connection that has been answered may rest for longer
            for _ in range(2):
                assert client.get(f"http://127.0.0.1:{unused_port}/").status_code == 200
                time.sleep(0.7)
        assert answer_of(unused_port, head + rest + head, pause=0.8).endswith(b'"here"')
    finally:
        server.should_exit = True
        thread.join()


def test_a_connection_on_which_predictions_are_asked_is_kept(monkeypatch, settings, unused_port, eventually):
    """They wait for one another a moment after they have been read: that is not a request that never ends."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    server = Server(create_app(settings), 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listen_on("127.0.0.1", unused_port)})
    thread.start()
    try:
        eventually(lambda: server.started)
        asked = predict_request("parcels")
        with socket.create_connection(("127.0.0.1", unused_port), timeout=30) as connection:
            for pause in (0.0, 0.1, 0.1, 0.1, 0.1, 0.6, 0.0):
                time.sleep(pause)
                connection.sendall(asked)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(asked[:-20])  # one that is begun and not ended is closed on, here too
            assert connection.recv(65536) == b""
    finally:
        server.should_exit = True
        thread.join()
