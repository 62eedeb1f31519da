"""The embedded stack as a whole: bring it up, take it down, say how it is, show its logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from noria.core.base.errors import StackError
from noria.io.file_lock import file_lock
from noria.local import sessions
from noria.local.credentials import load_credentials
from noria.local.ports import Ports, refuse_taken
from noria.local.processes import LOOPBACK
from noria.local.state import Condition, ProcessState, StackPhase, StackState, read_state, supervised, write_state
from noria.settings import PROJECT, Settings

_LAUNCH_SECONDS = 60.0
_STOP_SECONDS = 120.0
_FIRST_TO_STOP = ("scheduler", "triggerer", "dag-processor")
_LAST_TO_STOP = ("postgres",)


@dataclass(frozen=True)
class ProcessReport:
    """One process, as it is now.

    Attributes:
        alive: it runs (or has done its work, where it is a step).
        memory: resident bytes of it and of all it started.
        uptime: seconds since it started.
    """

    state: ProcessState
    alive: bool
    memory: int = 0
    uptime: float = 0.0


@dataclass(frozen=True)
class StackReport:
    """The stack as it is now."""

    home: Path
    phase: StackPhase
    supervised: bool
    processes: tuple[ProcessReport, ...]
    error: str = ""

    @property
    def is_up(self) -> bool:
        """Everything runs and is looked after."""
        return self.supervised and self.phase is StackPhase.RUNNING and all(report.alive for report in self.processes)


@dataclass(frozen=True)
class Stack:
    """The embedded stack of one home folder."""

    home: Path
    ports: Ports

    @classmethod
    def of(cls, settings: Settings) -> Stack:
        """The stack that the settings name."""
        return cls(settings.home.resolve(), Ports.of(settings))

    def launch(self, port_offset: int | None = None) -> bool:
        """Start the supervisor, unless one runs; returns whether it was started now. Two calls at once start one.

        Args:
            port_offset: move all default ports by so many; None keeps the ports of the last time.

        Raises:
            StackError: a port is taken, or a running stack has other ports than asked for.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with self._alone():
            ports = self.ports if port_offset is None else Ports.defaults(port_offset)
            if supervised(self.home):
                self._refuse_move(ports)
                return False
            self._end_leftovers()
            refuse_taken(ports)
            load_credentials(self.home)
            self._spawn(ports)
        return True

    def follow(self) -> Iterator[StackState]:
        """Yield the state, several times a second, until the stack runs.

        Raises:
            StackError: it failed, or was stopped meanwhile.
        """
        while True:
            running = supervised(self.home)
            state = read_state(self.home)  # read after the question, so that a last word is heard
            if state is not None:
                yield state
                if state.phase is StackPhase.RUNNING and running:
                    return
                if state.phase is StackPhase.FAILED and not running:
                    raise StackError(state.error)
            if not running:
                raise StackError(f"the stack in {self.home} was stopped while it was starting; see {self._log()}")
            time.sleep(0.15)

    def stop(self) -> bool:
        """Stop everything in order and leave no process; returns whether anything ran.

        Raises:
            StackError: a process cannot be ended (it belongs to another user).
        """
        if not self.home.exists():  # deleted while its supervisor was dead
            return self._end_leftovers()
        with self._alone():
            state = read_state(self.home)
            ran = supervised(self.home)
            if ran and state is not None:
                self._stop_supervisor(state.supervisor)
            ran = self._end_leftovers() or ran
            write_state(self.home, _EMPTY)
            return ran

    def report(self) -> StackReport:
        """How the stack is."""
        state = read_state(self.home)
        running = supervised(self.home)
        if state is None:
            return StackReport(self.home, StackPhase.STOPPED, running, ())
        processes = tuple(_report(process) for process in state.processes)
        return StackReport(self.home, state.phase, running, processes, state.error)

    def logs(self, name: str | None = None) -> dict[str, Path]:
        """Log files by process.

        Raises:
            StackError: there is no process of that name.
        """
        found = {path.stem: path for path in sorted((self.home / "logs").glob("*.log"))}
        if name is None:
            return found
        if name not in found:
            raise StackError(f"no process {name!r} has a log in {self.home / 'logs'}; known: {', '.join(found) or 'none'}")
        return {name: found[name]}

    def _log(self) -> Path:
        return self.home / "logs" / "supervisor.log"

    def _alone(self) -> AbstractContextManager[None]:
        """One `up` or `down` at a time."""
        return file_lock(self.home / "stack.lock")

    def _refuse_move(self, ports: Ports) -> None:
        running = {process.name: process.port for process in (read_state(self.home) or _EMPTY).processes if process.port}
        wanted = {"postgres": ports.postgres, "mlflow": ports.mlflow, "api-server": ports.airflow, "serving": ports.serving}
        wanted["mail"] = ports.mail
        for name, port in running.items():
            if wanted.get(name, port) != port:
                raise StackError(f"the stack runs with {name} on port {port}, not {wanted[name]}: run `noria down` first")

    def _spawn(self, ports: Ports) -> None:
        (self.home / "logs").mkdir(exist_ok=True)
        before = read_state(self.home)
        with self._log().open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "noria.local.supervisor"],
                cwd=self.home,
                env={**os.environ, **ports.variables(), "NORIA_HOME": str(self.home), "PYTHONPATH": _pythonpath()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await_first_word(child, before)

    def _await_first_word(self, child: subprocess.Popen[bytes], before: StackState | None) -> None:
        """Wait until the new supervisor has written its state, so that the old one is not taken for it."""
        deadline = time.monotonic() + _LAUNCH_SECONDS
        while time.monotonic() < deadline:
            code = child.poll()
            state = read_state(self.home)
            if state is not None and state != before and state.supervisor == child.pid:
                if state.phase is StackPhase.FAILED:
                    raise StackError(state.error)
                return
            if code is not None:
                break
            time.sleep(0.05)
        tail = self._log().read_text(errors="replace").splitlines()[-10:]
        raise StackError(f"the supervisor did not start; the end of {self._log()} says:\n" + "\n".join(tail))

    def _stop_supervisor(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while supervised(self.home) and time.monotonic() < deadline:
            time.sleep(0.1)
        if supervised(self.home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _end_leftovers(self) -> bool:
        """End what a supervisor that was killed has left behind, in order; returns whether there was anything."""
        state = read_state(self.home) or _EMPTY
        leaders = {process.pid: process for process in state.processes if process.pid and process.created}
        started = {pid: process.created for pid, process in leaders.items() if process.created}
        left = sessions.leftovers(str(self.home), started)
        if not left:
            return False
        for names in (_FIRST_TO_STOP, None, _LAST_TO_STOP):
            for pid, process in leaders.items():
                if _turn(process.name, names):
                    polite = signal.SIGINT if process.name == "postgres" else signal.SIGTERM
                    sessions.end(_only(left, pid), polite)
                    sessions.end(sessions.members(pid))
        sessions.end(sessions.leftovers(str(self.home), started))
        if stubborn := sessions.leftovers(str(self.home), started):
            numbers = ", ".join(str(process.pid) for process in stubborn)
            raise StackError(f"these processes could not be ended: {numbers}; end them as their own user")
        return True


_EMPTY = StackState(phase=StackPhase.STOPPED, supervisor=0)


def _turn(name: str, names: tuple[str, ...] | None) -> bool:
    return name in names if names is not None else name not in (*_FIRST_TO_STOP, *_LAST_TO_STOP)


def _only(processes: list[psutil.Process], pid: int) -> list[psutil.Process]:
    return [process for process in processes if process.pid == pid]


def _pythonpath() -> str:
    return os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")]))


def _report(state: ProcessState) -> ProcessReport:
    if state.once:
        return ProcessReport(state, alive=state.condition is Condition.DONE)
    if state.pid is None or state.created is None or state.condition is not Condition.RUNNING:
        return ProcessReport(state, alive=False)
    try:
        process = psutil.Process(state.pid)
        if abs(process.create_time() - state.created) > 2.0 or not sessions.is_alive(process):
            return ProcessReport(state, alive=False)
        return ProcessReport(state, alive=True, memory=_memory(state.pid), uptime=time.time() - state.created)
    except psutil.Error:
        return ProcessReport(state, alive=False)


def _memory(leader: int) -> int:
    total = 0
    for process in sessions.members(leader):
        with suppress(psutil.Error):
            usage = process.memory_full_info()  # proportional: pages that forked workers share count once
            total += getattr(usage, "pss", usage.uss)
    return total


def addresses(settings: Settings) -> Mapping[str, str]:
    """Pages of the stack by what they are for."""
    pages = {
        "Airflow": settings.airflow_url,
        "MLflow": settings.mlflow_url,
        "Predictions (REST)": f"{settings.serving_url}/docs",
    }
    if settings.smtp_host in LOOPBACK:
        pages["E-mails"] = f"http://127.0.0.1:{settings.mail_port}"
    return pages
