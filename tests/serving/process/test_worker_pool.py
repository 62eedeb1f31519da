"""Several processes behind one port: a dead one is replaced, and a stop loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from noria.core.base.errors import StackError
from serving.app import create_app
from serving.http import fast_protocol as protocol
from serving.process.listener import listen_on
from serving.process.server import Server
from serving.process.worker_pool import WorkerPool
from tests.conftest import PROJECT
from tests.serving.bundles import INSTANCE

pytestmark = pytest.mark.slow

CREW = Path(__file__).with_name("worker_script.py")


class Crew:
    """A process with workers."""

    def __init__(self, port, workers, drain_seconds, folder):
        self.port, self.log = port, folder / "crew.log"
        self.folder = folder
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, str(CREW), str(port), str(workers), str(drain_seconds)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def get(self, path):
        """One answer, over a connection of its own."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def pids(self):
        """Who has the places now."""
        found = re.findall(r"worker (\d+) is process (\d+)", self.log.read_text())
        return {number: int(pid) for number, pid in found}

    def answers(self):
        try:
            return self.get("/pid").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def crew(tmp_path, unused_port, eventually):
    crews = []

    def start(workers, drain_seconds=0.0, wait=True):
        made = Crew(unused_port, workers, drain_seconds, tmp_path)
        crews.append(made)
        if wait:
            eventually(made.answers, made.log.read_text)
        return made

    yield start
    for made in crews:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        for pid in made.pids().values():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def ask(port, request, seen, fresh):
    """One client that sends requests while connections are accepted; a request without a response is lost."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            seen["refused"] += 1
            return
        try:
            while True:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
                await reader.readexactly(length)
                seen[head[9:12].decode()] += 1
                if fresh or b"connection: close" in head:
                    break
        except (OSError, asyncio.IncompleteReadError) as error:
            seen[f"lost: {error!r}"] += 1
        finally:
            writer.close()


def hammer_until_gone(port, request, stop, clients=24):
    """Many clients, half of them with a new connection for each request; `stop` is called in the midst."""
    seen = Counter()

    async def work():
        tasks = [asyncio.create_task(ask(port, request, seen, number % 2 == 0)) for number in range(clients)]
        while seen["200"] < 200:
            await asyncio.sleep(0.01)
            assert not [key for key in seen if key.startswith("lost")], seen
        stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 120)

    asyncio.run(work())
    return seen


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


def test_a_worker_that_dies_is_replaced_and_counted_on(crew, eventually):
    running = crew(2)
    eventually(lambda: len(running.pids()) == 2)
    for _ in range(19):
        assert running.get("/pid").status_code == 200
    before = running.pids()
    os.kill(before["0"], signal.SIGKILL)
    eventually(lambda: running.pids()["0"] != before["0"], running.log.read_text)
    # connections in the queue of the dead one are answered by the next
    for _ in range(20):
        assert running.get("/pid").json() in running.pids().values()
    counted = re.search(r"noria_serving_requests_total\{.*\} (\S+)", running.get("/metrics").text)[1]
    assert float(counted) >= 40
    assert running.pids()["1"] == before["1"]
    assert "died after" in running.log.read_text()
    assert "by signal SIGKILL" in running.log.read_text()


def test_hanging_worker_logs_its_stack_and_is_replaced(crew, eventually):
    running = crew(2)
    eventually(lambda: len(running.pids()) == 2)
    before = running.pids()
    with pytest.raises(httpx.RemoteProtocolError):
        running.get("/hang")
    eventually(lambda: len(before.items() & running.pids().items()) == 1, running.log.read_text)
    log = running.log.read_text()
    assert re.search(r"worker \d \(process \d+\) hangs for \d+ s", log)
    assert "by signal SIGABRT" in log
    assert "in hang" in log
    for _ in range(20):
        assert running.get("/pid").json() in running.pids().values()


def test_hanging_worker_that_cannot_log_its_stack_is_killed(crew, eventually):
    running = crew(2)
    eventually(lambda: len(running.pids()) == 2)
    stopped = running.pids()["1"]
    os.kill(stopped, signal.SIGSTOP)
    eventually(lambda: running.pids()["1"] != stopped, running.log.read_text)
    assert "by signal SIGKILL" in running.log.read_text()


def test_workers_do_not_outlive_a_parent_that_was_killed(crew, eventually):
    running = crew(2)
    eventually(lambda: len(running.pids()) == 2)
    pids = running.pids().values()
    running.process.kill()
    running.process.wait()
    eventually(lambda: not any(map(is_alive, pids)), running.log.read_text)
    listen_on("127.0.0.1", running.port)[0].close()  # the port is free


def test_a_worker_that_keeps_dying_ends_the_parent_with_an_error(crew):
    running = crew(2, drain_seconds=-1, wait=False)
    assert running.process.wait(120) == 1
    log = running.log.read_text()
    assert "RuntimeError: cannot work" in log
    assert log.count("a worker died 5 times right after its start; giving up") == 1
    assert not any(map(is_alive, running.pids().values()))


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


def test_listen_on_several_sockets_refuses_a_port_of_another_program(unused_port):
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", unused_port))
        stranger.listen()
        with pytest.raises(StackError, match="another process listens there"):
            listen_on("127.0.0.1", unused_port, 3)
    for listener in listen_on("127.0.0.1", unused_port, 3):
        listener.close()


def test_nothing_is_forked_while_a_thread_runs():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="too-early")
    thread.start()
    try:
        with pytest.raises(StackError, match=r"too-early.*start it in the app's lifespan"):
            WorkerPool([], lambda _: 0).run()
    finally:
        done.set()
        thread.join()


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


def predict_request(use_case):
    body = httpx.Request("POST", "http://here/", json={"instances": [INSTANCE]}).content
    head = f"POST /v1/{use_case}/predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


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
