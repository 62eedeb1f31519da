"""Finds and ends processes by session: each child of the supervisor leads one, and all that it starts belongs to it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil

MARK = "NORIA_STACK"
"""Variable that gives the stack's home to every process of a stack."""
_PR_SET_CHILD_SUBREAPER = 36
_CLOCK_TOLERANCE = 2.0


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants that lose theirs, so that none escapes. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans(ours: Iterable[int]) -> None:
    """Reap adopted children that have ended, but those in `ours`, which their own Popen reaps."""
    keep = set(ours)
    for child in psutil.Process().children():
        with suppress(psutil.Error, ChildProcessError):
            if child.pid not in keep and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def members(leader: int) -> list[psutil.Process]:
    """Living processes of the session that `leader` opened, itself included, and those that it or they started."""
    found: dict[int, psutil.Process] = {}
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(pid) == leader:
                found[pid] = psutil.Process(pid)
    for process in list(found.values()):  # PostgreSQL gives each backend a session of its own
        with suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True)}
    return [process for process in found.values() if is_alive(process)]


def stack_of(process: psutil.Process) -> str | None:
    """Home of the stack that a process belongs to; None if to none, or to another user's."""
    try:
        return process.environ().get(MARK) or None
    except (psutil.Error, OSError):
        return None


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def leftovers(home: str, leaders: Mapping[int, float]) -> list[psutil.Process]:
    """Living processes of a stack, whether or not its supervisor still lives.

    Args:
        home: the stack's home; every process of the stack carries it in its environment.
        leaders: pid and creation time of the processes that the supervisor had started.
    """
    found: dict[int, psutil.Process] = {}
    for leader, created in leaders.items():
        with suppress(psutil.Error):
            if abs(psutil.Process(leader).create_time() - created) > _CLOCK_TOLERANCE:
                continue  # the number now belongs to a stranger
        found |= {process.pid: process for process in members(leader)}
    # A process that retitles itself may have overwritten its environment: this finds the others, the session finds these.
    for process in psutil.process_iter():
        if process.pid not in found and stack_of(process) == home and is_alive(process):
            found[process.pid] = process
    return [process for process in found.values() if process.pid != os.getpid()]


def end(
    processes: Iterable[psutil.Process], polite: signal.Signals = signal.SIGTERM, grace: float = 10.0
) -> list[psutil.Process]:
    """Ask processes to end, then make them; returns those that had to be made."""
    waiting = list(processes)
    for process in waiting:
        with suppress(psutil.Error):
            process.send_signal(polite)
    deadline = time.monotonic() + grace
    while (waiting := [process for process in waiting if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    kill(waiting)
    return waiting


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes at once."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
