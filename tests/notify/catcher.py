"""A real mail catcher process to send to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import free_port


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
    process = subprocess.Popen([*command, "--smtp-port", str(smtp_port), "--http-port", str(http_port)])
    catcher = Catcher(smtp_port, f"http://127.0.0.1:{http_port}", process)
    try:
        for _ in range(300):
            assert process.poll() is None, "the mail catcher ended"
            try:
                catcher.messages()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield catcher
    finally:
        process.terminate()
        process.wait(20)
