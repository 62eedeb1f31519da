"""The daemon that owns the processes of the embedded stack: `python -m noria.local.supervisor`, started by `noria up`.

It starts them in order, restarts one that dies, writes what it sees to `<home>/stack.json`, and on SIGTERM stops them in the
reverse order, with all that they started.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from noria.core.base.errors import NoriaError, StackError
from noria.local import sessions
from noria.local.child import Child
from noria.local.credentials import load_credentials
from noria.local.ports import Ports
from noria.local.postgres import PostgresServer
from noria.local.processes import Process, stack_processes
from noria.local.state import LOCK, StackPhase, StackState, write_state
from noria.settings import Settings, load_settings

_TICK = 0.1
_SLOW_TICK = 0.5
log = logging.getLogger("noria.local.supervisor")


class Supervisor:
    """Keeps processes running until it is stopped.

    Args:
        home: the stack's home; state and logs are written there.
        processes: what to run.
        adopts: this whole Python process is the supervisor's: descendants that lose their parent become its children, and
            every child that is left at the end is ended.
    """

    def __init__(self, home: Path, processes: Sequence[Process], *, adopts: bool = False) -> None:
        self._home = home
        (home / LOCK).touch()
        self._lock = (home / LOCK).stat()
        self._adopts = adopts
        self._probes = ThreadPoolExecutor(max_workers=max(1, len(processes)), thread_name_prefix="probe")
        self._children = {process.name: Child(process, home / "logs", home, self._probes) for process in processes}
        self._phase = StackPhase.STARTING
        self._error = ""
        self._written: StackState | None = None
        self._stopping = False

    def stop(self, *_signal: object) -> None:
        """Ask it to stop; for a signal handler."""
        self._stopping = True

    def run(self) -> bool:
        """Start everything and keep it running until stopped; returns whether it ended as asked."""
        if self._adopts:
            sessions.adopt_orphans()
        try:
            while not self._stopping:
                self._tick()
        except NoriaError as error:
            self._error = str(error)
            log.exception("giving up")
        except Exception as error:  # a daemon has nobody above it: say it in the state, then leave nothing behind
            self._error = f"the supervisor failed: {error!r}; see {self._home / 'logs' / 'supervisor.log'}"
            log.exception("failed")
        self._stop_all()
        return not self._error

    def _tick(self) -> None:
        self._refuse_other_home()
        for child in self._children.values():
            before = child.condition
            child.tick(may_start=all(self._children[name].is_ready for name in child.process.after))
            if child.condition is not before:
                log.info("%s: %s -> %s (pid %s)", child.process.name, before, child.condition, child.pid)
                self._write()
        if self._adopts:
            sessions.bury_orphans(child.pid for child in self._children.values() if child.pid)
        if self._phase is StackPhase.STARTING and all(child.is_ready for child in self._children.values()):
            self._phase = StackPhase.RUNNING
        self._write()
        time.sleep(_TICK if self._phase is StackPhase.STARTING else _SLOW_TICK)

    def _refuse_other_home(self) -> None:
        """Make sure that the home lies where it lay: processes would write beside it, and `noria down` not find them."""
        if not self._is_home(self._home):
            raise StackError(f"{self._home} was moved or deleted while the stack ran, so everything was stopped")

    def _is_home(self, folder: Path) -> bool:
        try:
            return os.path.samestat((folder / LOCK).stat(), self._lock)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _stop_all(self) -> None:
        """Stop each when those that build upon it are gone."""
        self._phase = StackPhase.STOPPING
        while waiting := [child for child in self._children.values() if not child.is_gone]:
            for child in waiting:
                if not any(child.process.name in other.process.after for other in waiting):
                    child.stop()
                    if child.is_gone:
                        log.info("%s: stopped", child.process.name)
            self._write()
            time.sleep(_TICK)
        strays = psutil.Process().children(recursive=True) if self._adopts else []
        if killed := sessions.end(strays, grace=5.0):
            log.warning("killed %s", ", ".join(str(process.pid) for process in killed))
        for child in self._children.values():
            child.stop()
        self._phase = StackPhase.FAILED if self._error else StackPhase.STOPPED
        self._write()
        # A probe of a process that is gone may still be waiting for its answer.
        self._probes.shutdown(wait=False, cancel_futures=True)

    def _write(self) -> None:
        state = StackState(
            phase=self._phase,
            supervisor=os.getpid(),
            error=self._error,
            processes=tuple(child.state() for child in self._children.values()),
        )
        if state == self._written:
            return
        for home in (self._home, Path()):  # the working directory is the home, also where it was moved
            if self._is_home(home):
                write_state(home, state)
                break
        self._written = state


def main() -> int:
    """Run the stack of the settings in the environment, unless another supervisor does."""
    settings = load_settings()
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"another supervisor runs the stack in {home}\n")
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        supervisor = Supervisor(home, _processes(settings), adopts=True)
    except Exception as error:
        log.exception("could not prepare")
        write_state(home, StackState(phase=StackPhase.FAILED, supervisor=os.getpid(), error=str(error) or repr(error)))
        return 1
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    done = supervisor.run()
    sys.stderr.flush()
    os._exit(0 if done else 1)  # not held up by a probe that still waits


def _processes(settings: Settings) -> tuple[Process, ...]:
    server = PostgresServer(settings.home / "postgres", Ports.of(settings).postgres)
    return stack_processes(settings, load_credentials(settings.home), server)


if __name__ == "__main__":
    raise SystemExit(main())
