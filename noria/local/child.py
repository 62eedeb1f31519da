"""One supervised process: started, probed until it is ready, restarted when it dies, stopped with all that it started."""

from __future__ import annotations

import signal
import subprocess
import time
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path

import psutil

from noria.core.base.errors import StackError
from noria.local import sessions
from noria.local.processes import Process
from noria.local.state import Condition, ProcessState

_PROBE_EVERY = 0.3
_ATTEMPTS_AT_START = 3
_LONGEST_BACKOFF = 30.0
_CALM = 60.0
_LOG_LIMIT = 20_000_000
_SWEEP_GRACE = 3.0


class Child:
    """Drives one process by calls of `tick`; never blocks for long.

    Args:
        process: what to run.
        logs: folder of logs.
        folder: working directory.
        probes: where readiness probes run, since they may block.
    """

    def __init__(self, process: Process, logs: Path, folder: Path, probes: Executor) -> None:
        self.process = process
        self.condition = Condition.WAITING
        self.restarts = 0
        self.log = logs / f"{process.name}.log"
        self._folder = folder
        self._probes = probes
        self._popen: subprocess.Popen[bytes] | None = None
        self._created: float | None = None
        self._probe: Future[bool] | None = None
        self._started = self._next_probe = self._retry_at = self._stop_by = 0.0
        self._failures = 0
        self._seconds: float | None = None

    @property
    def pid(self) -> int | None:
        """Pid of the running process."""
        return self._popen.pid if self._popen else None

    @property
    def is_ready(self) -> bool:
        """Whether others may build upon it."""
        return self.condition in (Condition.RUNNING, Condition.DONE)

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it runs."""
        return self._popen is None

    def state(self) -> ProcessState:
        """Its line in the state file."""
        return ProcessState(
            name=self.process.name,
            why=self.process.why,
            condition=self.condition,
            once=self.process.once,
            pid=self.pid,
            created=self._created if self._popen else None,
            restarts=self.restarts,
            port=self.process.port,
            log=str(self.log),
            seconds=self._seconds,
        )

    def tick(self, *, may_start: bool) -> None:
        """Take the next step.

        Raises:
            StackError: it cannot be brought to life; has the end of its log.
        """
        if self._popen is None:
            if self.condition is not Condition.DONE and may_start and time.monotonic() >= self._retry_at:
                self._start()
        elif (code := self._popen.poll()) is not None:
            self._ended(code)
        elif self.condition is not Condition.RUNNING:
            self._look()
        elif self._failures and time.monotonic() - self._started > _CALM:
            self._failures = 0

    def stop(self) -> None:
        """Ask it to end, once; then make it, when its grace is over. Call until `is_gone`."""
        if self._popen is None:
            self.condition = self.condition if self.condition is Condition.DONE else Condition.STOPPED
        elif self._popen.poll() is not None:
            self._sweep()
            self.condition = Condition.STOPPED
        elif not self._stop_by:
            self._stop_by = time.monotonic() + self.process.grace
            self._popen.send_signal(self.process.stop_signal)
        elif time.monotonic() > self._stop_by:
            sessions.kill(sessions.members(self._popen.pid))

    def _start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.process.command,
                cwd=self._folder,
                env=dict(self.process.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with suppress(psutil.Error):
            self._created = psutil.Process(self._popen.pid).create_time()
        self._started = time.monotonic()
        self._probe, self._next_probe = None, 0.0
        self.condition = Condition.RESTARTING if self.restarts else Condition.STARTING

    def _look(self) -> None:
        if not self.process.once:
            self._ask()
        if self.condition is not Condition.RUNNING and time.monotonic() - self._started > self.process.patience:
            self._lose_patience()

    def _ask(self) -> None:
        if self._probe and self._probe.done():
            ready = self._probe.exception() is None and self._probe.result()
            self._probe, self._next_probe = None, time.monotonic() + _PROBE_EVERY
            if ready:
                self._seconds = round(time.monotonic() - self._started, 1)
                self.condition = Condition.RUNNING
        elif self._probe is None and time.monotonic() >= self._next_probe:
            self._probe = self._probes.submit(self.process.ready)

    def _lose_patience(self) -> None:
        if self._popen:
            sessions.kill(sessions.members(self._popen.pid))
        if self._seconds is None:  # it never worked; one that did is started again
            self.condition = Condition.FAILED
            raise StackError(f"{self.process.name} was not ready after {self.process.patience:.0f} seconds; {self._tail()}")

    def _ended(self, code: int) -> None:
        self._sweep()
        if self.process.once and code == 0:
            self._seconds = round(time.monotonic() - self._started, 1)
            self.condition = Condition.DONE
            return
        self._failures += 1
        never_ran = self._seconds is None
        if never_ran and (self.process.once or self._failures >= _ATTEMPTS_AT_START):
            self.condition = Condition.FAILED
            raise StackError(f"{self.process.name} ended with {_how(code)}; {self._tail()}")
        self.restarts += 1
        self._retry_at = time.monotonic() + min(_LONGEST_BACKOFF, 0.5 * 2 ** (self._failures - 1))
        self.condition = Condition.RESTARTING

    def _sweep(self) -> None:
        """End what the process left behind: a second scheduler must not meet the workers of the first."""
        if self._popen:
            sessions.end(sessions.members(self._popen.pid), grace=_SWEEP_GRACE)
        self._popen = None

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"the end of {self.log} says:\n" + "\n".join(lines[-15:])


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
