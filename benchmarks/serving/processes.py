"""Server processes on one core: started, timed until ready, measured with all their child processes, stopped."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from noria.testing.processes import stop_group, wait_until_ready


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        pid: of the process that was started; it may have children.
        port: on 127.0.0.1.
        cold_start: seconds from its start to its first 200 on its readiness page.
    """

    pid: int
    port: int
    cold_start: float

    def cpu(self) -> float:
        """CPU seconds of its process and all descendants, ended ones included."""
        return sum(_cpu(pid) for pid in _tree(self.pid))

    def memory(self) -> float:
        """MB of its process and all descendants, shared pages counted by their share (PSS)."""
        return sum(_pss(pid) for pid in _tree(self.pid)) / 1024


@contextmanager
def running(
    command: Sequence[str | Path], *, port: int, ready: str, core: int, log: Path, variables: Mapping[str, str]
) -> Iterator[RunningServer]:
    """A server on one core, until the end of the block.

    Args:
        command: starts it.
        port: it listens on.
        ready: path of its readiness page.
        core: it may use.
        log: file for its output; it runs in the folder of that file.
        variables: added to the environment of this process.

    Raises:
        ProcessEndedError, TimeoutError: it does not become ready; the message has the end of its log.
    """
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            cwd=log.parent,
            env={**os.environ, **threads, **variables},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_ready(process, port, ready, log, pause=0.01)
        yield RunningServer(process.pid, port, time.perf_counter() - started)
    finally:
        stop_group(process)


def ask(port: int, path: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """One request on a connection of its own; returns the body.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or its status is not 200.
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
