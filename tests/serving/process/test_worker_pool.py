"""Several processes behind one port: a dead or hanging one is replaced, and none outlives its parent."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading

import httpx
import pytest

from noria.core.base.errors import StackError
from serving.process.listener import listen_on
from serving.process.worker_pool import WorkerPool
from tests.serving.process.crew import is_alive

pytestmark = pytest.mark.slow


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
