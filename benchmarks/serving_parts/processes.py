"""Servers as processes on one core: started, timed until they are ready, weighed with all that they started, stopped."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 240


class StartError(Exception):
    """A server that did not come up."""


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        pid: of the process that was started; others may hang on it.
        port: on 127.0.0.1.
        cold_start: seconds from its start to its first 200 on its readiness page.
    """

    pid: int
    port: int
    cold_start: float

    def cpu(self) -> float:
        """CPU seconds of it and of all that it started, also of those of them that have ended."""
        return sum(_cpu(pid) for pid in _tree(self.pid))

    def memory(self) -> float:
        """MB, shared pages counted by their share (PSS)."""
        return sum(_pss(pid) for pid in _tree(self.pid)) / 1024


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    port: int,
    ready: str,
    core: int,
    log: Path,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A server on one core, until the end of the block.

    Args:
        command: starts it.
        port: it listens on.
        ready: path of its readiness page.
        core: it may use.
        log: its output goes there.
        cwd: where it runs.
        variables: of its environment, beside our own.

    Raises:
        StartError: it ends, or takes minutes; has the end of its log.
    """
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment = {**os.environ, **threads, **(variables or {})}
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            cwd=cwd,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, port, ready, log)
        yield Running(process.pid, port, time.perf_counter() - started)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], patience: float = 30) -> None:
    """SIGTERM to a process and its group, SIGKILL to what is left of them."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 60.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def ask(port: int, path: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """One request on a connection of its own; returns the body.

    Raises:
        OSError, http.client.HTTPException: nobody answers, or not with 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"{method} {path}: {answer.status} {content[:600]!r}")
        return content
    finally:
        connection.close()


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(port, ready)
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
    raise StartError(f"port {port} does not become ready:\n{log.read_text(errors='replace')[-3000:]}")


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
