"""Servers that tests and benchmarks start as processes: wait for the first answer, stop the whole group."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from noria.testing.waiting import wait_until

_KILL_SECONDS = 60.0
_LAST_CHARACTERS = 3000


class ProcessEndedError(Exception):
    """A server process ended before it answered."""


def status_of(port: int, path: str) -> int:
    """HTTP status of a page on 127.0.0.1, requested on a connection of its own; 0 where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_until_ready(
    process: subprocess.Popen[bytes], port: int, path: str, log: Path, *, seconds: float = 240, pause: float = 0.2
) -> None:
    """Wait until a server process answers a page with 200.

    Args:
        process: of the server.
        port: it listens on, on 127.0.0.1.
        path: of its readiness page.
        log: file with its output; the errors have its end.
        seconds: the longest wait.
        pause: seconds between two requests.

    Raises:
        ProcessEndedError: it ended.
        TimeoutError: it does not answer after these seconds.
    """

    def ready() -> bool:
        if process.poll() is not None:
            raise ProcessEndedError(f"it ended with {process.returncode}; {_end_of(log)}")
        return status_of(port, path) == HTTPStatus.OK

    wait_until(ready, lambda: f"port {port} answers {path}; {_end_of(log)}", seconds=seconds, pause=pause)


def stop_group(process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Send SIGTERM to a process and its group, and after these seconds SIGKILL to what is left of them."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, _KILL_SECONDS)):
        signal_group(process, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process that leads a group, and to the group; harmless when they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_of(log: Path) -> str:
    return f"the end of {log} says:\n{log.read_text(errors='replace')[-_LAST_CHARACTERS:]}"
