"""A stop loses no request, however many workers and clients there are."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.serving.bundles import INSTANCE
from tests.serving.process.load import hammer_until_gone, predict_request

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 3])
def test_stop_under_load_loses_no_request(crew, workers):
    running = crew(workers)
    request = b"GET /pid HTTP/1.1\r\nHost: here\r\n\r\n"
    seen = hammer_until_gone(running.port, request, lambda: running.process.send_signal(signal.SIGTERM))
    assert seen.pop("200") >= 200
    assert seen == {"refused": 24}
    assert running.process.wait(60) == -signal.SIGTERM
    assert list(running.folder.glob("noria-metrics-*")) == []


def test_stop_with_connections_in_the_queue_answers_each(crew):
    running = crew(1)
    request = "GET {} HTTP/1.1\r\nHost: here\r\n\r\n"
    with contextlib.ExitStack() as clients:

        def connect(path):
            connection = clients.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=30))
            connection.sendall(request.format(path).encode())
            return connection

        first = connect("/busy")
        time.sleep(0.2)
        waiting = [connect("/pid") for _ in range(100)]
        running.process.send_signal(signal.SIGTERM)
        answers = [connection.recv(65536)[:12] for connection in (first, *waiting)]
    assert answers == [b"HTTP/1.1 200"] * 101
    assert running.process.wait(60) == -signal.SIGTERM


def test_ctrl_c_reaches_every_process_and_ends_in_order(crew, eventually):
    running = crew(2)
    eventually(lambda: len(running.pids()) == 2)
    for pid in (running.process.pid, *running.pids().values()):  # as a terminal does
        os.kill(pid, signal.SIGINT)
    assert running.process.wait(60) != 0
    assert running.log.read_text().count("Application shutdown complete") == 2


def test_drain_answers_requests_and_readyz_says_draining(crew, eventually):
    running = crew(1, drain_seconds=4)
    running.process.send_signal(signal.SIGTERM)
    eventually(lambda: running.get("/phase").json() == "draining")
    assert running.get("/pid").status_code == 200
    assert running.process.wait(60) == -signal.SIGTERM


def test_serving_runs_on_several_workers_as_on_one(serve, settings, monkeypatch, eventually):
    monkeypatch.setenv("NORIA_SERVING_WORKERS", "3")
    server = serve(settings)
    eventually(lambda: "noria_serving_workers 3.0" in server.client.get("/metrics").text, server.log.read_text)
    for _ in range(10):
        with httpx.Client(base_url=server.client.base_url, timeout=60) as client:
            assert client.get("/readyz").json()["phase"] == "serving"
            answer = client.post("/v1/parcels/predict", json={"instances": [INSTANCE]})
            assert answer.status_code == 200
            assert "server" not in answer.headers
            assert "date" in answer.headers
    kill_a_worker(server.log.read_text())  # between two requests
    eventually(lambda: server.log.read_text().count("Application startup complete") == 4, server.log.read_text)
    counted = re.search(
        r'noria_serving_requests_total\{alias="rule",status="200",.*\} (\S+)', server.client.get("/metrics").text
    )
    assert float(counted[1]) == 10
    stop = lambda: server.process.send_signal(signal.SIGTERM)  # noqa: E731
    seen = hammer_until_gone(server.port, predict_request("parcels"), stop)
    answered = seen.pop("200")
    assert seen == {"refused": 24}
    assert server.process.wait(180) == -signal.SIGTERM
    # every answer is in the journal, once
    ids = re.findall(r'"id":"([0-9a-f-]{36})"', "".join(map(Path.read_text, journal_files(settings))))
    assert len(ids) == len(set(ids)) == answered + 10


def kill_a_worker(log):
    os.kill(int(re.search(r"worker \d is process (\d+)", log)[1]), signal.SIGKILL)


def journal_files(settings):
    found = list((settings.serving_state / "journal").glob("*.jsonl"))
    assert found
    return found
