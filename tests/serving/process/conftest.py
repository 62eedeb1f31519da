"""Starts processes with workers, and leaves none behind."""

from __future__ import annotations

import os
import signal

import pytest

from tests.serving.process.crew import Crew, is_alive


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
