"""A process with workers, to be asked and killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import PROJECT

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


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
