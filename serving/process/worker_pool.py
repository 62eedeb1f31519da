"""Several processes behind one port: a parent that loads everything once, forks, and keeps the number of workers.

The parent answers no request. Its models lie in memory that all workers share, since they are loaded before the fork and the
garbage collector is set to leave them alone. It holds every listening socket open as well, so connections that wait for a
worker which has just died are answered by the one that takes its place. A worker whose event loop stands still is killed:
its share of the connections would wait without end.

Nothing may run in the parent but itself: a thread does not survive a fork, and a lock that it held would be held without
end.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from noria.core.base.errors import StackError
from serving.process.heartbeat import Heartbeats

_log = logging.getLogger(__name__)
_TOLD = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_TOLD, signal.SIGCHLD)
_QUICK_SECONDS = 10.0
"""A worker that dies younger than this has not worked."""
_QUICK_DEATHS = 5
"""As many in a row, of one worker: starting it again is useless."""
_PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Before it is started again, by the number of quick deaths in a row."""
_SILENT_SECONDS = 30.0
"""A worker whose event loop has not turned for so long hangs."""
_START_SECONDS = 60.0
"""More than that, while it starts: registry and database may take their time."""
_MERCY_SECONDS = 5.0
"""For telling where it hangs, before it is killed."""
_ABSENT_SECONDS = 3.0
"""A parent that comes back after so long was stopped itself, and its workers with it."""
_END_SECONDS = 60.0
"""How long workers may take to stop, the last predictions' way to PostgreSQL included."""


@dataclass(frozen=True)
class WorkerContext:
    """Resources of one worker.

    Attributes:
        number: counts from 0; a worker that takes another's place has its number.
        listener: its own socket.
        parent: reading end of a pipe that is at its end when the parent has died.
        beat: to be called every few seconds; a worker that does not hangs, and is killed.
    """

    number: int
    listener: socket.socket
    parent: int
    beat: Callable[[], None]


@dataclass
class _Worker:
    """A place to be filled; `pid` is 0 while it is empty."""

    number: int
    pid: int = 0
    since: float = 0.0
    due: float = 0.0
    quick_deaths: int = 0
    told_to_end: bool = False


class WorkerPool:
    """The parent."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        work: Callable[[WorkerContext], int],
        buried: Callable[[int], None] = lambda _: None,
        silent_seconds: float = _SILENT_SECONDS,
    ) -> None:
        """Make it; nothing runs yet.

        Args:
            listeners: one for each worker.
            work: what a worker does until it is stopped; returns its exit code.
            buried: called in the parent with the number of a worker that has died.
            silent_seconds: after which a worker that gives no sign of life is killed.
        """
        self._listeners = listeners
        self._work = work
        self._buried = buried
        self._workers = [_Worker(number) for number in range(len(listeners))]
        self._silent_seconds = silent_seconds
        self._heartbeats = Heartbeats(len(listeners))
        self._looked = monotonic()
        self._pipe = (-1, -1)
        self._told: signal.Signals | None = None

    def run(self) -> signal.Signals | None:
        """Keep the workers going until SIGTERM or SIGINT, then let them finish.

        Returns:
            The signal; None where a worker kept dying and the parent gave up.

        Raises:
            StackError: this system cannot do that, or a thread is running already.
        """
        _check_fork()
        self._pipe = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        gc.collect()
        gc.freeze()  # a collection would write into pages that all workers share
        try:
            hopeless = self._keep_going()
            self._dismiss()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None if hopeless else self._told

    def _keep_going(self) -> bool:
        """Returns whether a worker is past help."""
        while self._told is None:
            for worker in self._workers:
                if not worker.pid and monotonic() >= worker.due:
                    self._fork(worker)
            self._wait(0.5 if all(worker.pid for worker in self._workers) else 0.05)
            self._end_those_that_hang()
            if any(worker.quick_deaths >= _QUICK_DEATHS for worker in self._workers):
                _log.critical(
                    "a worker died %d times right after its start; giving up, see what it said above", _QUICK_DEATHS
                )
                return True
        return False

    def _fork(self, worker: _Worker) -> None:
        self._heartbeats.beat(worker.number, ahead=_START_SECONDS)
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: the others go on
            worker.due = monotonic() + _PAUSES[-1]
            _log.error("worker %d cannot be started (%s); trying again", worker.number, error.strerror)
            return
        if pid == 0:
            self._be_worker(worker)
        worker.pid, worker.since, worker.told_to_end = pid, monotonic(), False
        _log.info("worker %d is process %d", worker.number, pid)

    def _be_worker(self, worker: _Worker) -> None:
        """In the child; never returns, so that nothing of the parent's unwinds here."""
        code, number = 1, worker.number
        try:
            faulthandler.enable()  # a worker that hangs must say where
            os.close(self._pipe[1])
            for other, listener in enumerate(self._listeners):
                if other != number:
                    listener.close()
            post = WorkerContext(number, self._listeners[number], self._pipe[0], partial(self._heartbeats.beat, number))
            code = self._work(post)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            _log.exception("worker %d failed", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _wait(self, seconds: float) -> None:
        """Until a signal has come, or the time is over; then see who has died."""
        told = signal.sigtimedwait(_WATCHED, seconds)
        if told and told.si_signo in _TOLD:
            self._told = signal.Signals(told.si_signo)
        self._reap()

    def _end_those_that_hang(self) -> None:
        absent, self._looked = monotonic() - self._looked, monotonic()
        for worker in self._workers:
            if not worker.pid:
                continue
            if absent > _ABSENT_SECONDS:
                self._heartbeats.beat(worker.number)  # nobody could give a sign
            silence = self._heartbeats.silence(worker.number)
            if silence > self._silent_seconds + _MERCY_SECONDS:
                os.kill(worker.pid, signal.SIGKILL)
            elif silence > self._silent_seconds and not worker.told_to_end:
                worker.told_to_end = True
                _log.error("worker %d (process %d) hangs for %.0f s; ending it", worker.number, worker.pid, silence)
                os.kill(worker.pid, signal.SIGABRT)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for worker in self._workers:
                if worker.pid == pid:
                    self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, code: int) -> None:
        age = monotonic() - worker.since
        worker.quick_deaths = worker.quick_deaths + 1 if age < _QUICK_SECONDS else 0
        worker.due = monotonic() + _PAUSES[min(max(worker.quick_deaths - 1, 0), len(_PAUSES) - 1)]
        if self._told is None:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            _log.error("worker %d (process %d) died after %.0f s by %s", worker.number, worker.pid, age, how)
        worker.pid = 0
        self._buried(worker.number)

    def _dismiss(self) -> None:
        """Let every worker finish; who does not within the limit is killed."""
        for listener in self._listeners:  # else connections would wait here for workers that have closed theirs
            listener.close()
        self._signal_all(signal.SIGTERM)
        deadline = monotonic() + _END_SECONDS
        while any(worker.pid for worker in self._workers) and monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), 0.5)
            self._reap()
        if self._signal_all(signal.SIGKILL):
            _log.error("workers did not stop within %.0f s and were killed", _END_SECONDS)
        for end in self._pipe:
            os.close(end)

    def _signal_all(self, number: signal.Signals) -> int:
        living = [worker.pid for worker in self._workers if worker.pid]
        for pid in living:
            os.kill(pid, number)  # not reaped yet, so the number is still its own
        return len(living)


def _check_fork() -> None:
    if not hasattr(signal, "sigtimedwait"):
        raise StackError("this system cannot run several workers: set NORIA_SERVING_WORKERS=1, and start several servers")
    if (threads := threading.enumerate()) != [threading.main_thread()]:
        names = ", ".join(thread.name for thread in threads[1:])
        raise StackError(f"a thread was started before the workers were forked ({names}): start it in the app's lifespan")
