"""A real mail catcher process to send to."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noria.testing.free_ports import free_port
from noria.testing.processes import wait_until_ready


@dataclass(frozen=True)
class Catcher:
    """Where a running catcher listens."""

    smtp_port: int
    url: str
    process: subprocess.Popen[bytes]

    def messages(self) -> list[dict[str, Any]]:
        return list(json.loads(self.get("/api/messages")[0]))

    def get(self, path: str) -> tuple[bytes, dict[str, str]]:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:  # noqa: S310 - our own address
            return response.read(), {name.lower(): value for name, value in response.headers.items()}


@contextmanager
def mail_catcher(folder: Path) -> Iterator[Catcher]:
    smtp_port, http_port = free_port(), free_port()
    command = [sys.executable, "-m", "noria.local.mail_catcher", "--folder", str(folder)]
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--smtp-port", str(smtp_port), "--http-port", str(http_port)], stdout=output, stderr=output
        )
    catcher = Catcher(smtp_port, f"http://127.0.0.1:{http_port}", process)
    try:
        wait_until_ready(process, http_port, "/api/messages", log, seconds=60)
        yield catcher
    finally:
        process.terminate()
        process.wait(20)
