"""Report of the supervisor about the stack, in one file that is always whole."""

from __future__ import annotations

import fcntl
import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from noria.io.atomic import write_atomically

FILE = "stack.json"
LOCK = "supervisor.lock"


class StackPhase(StrEnum):
    """State of the stack as a whole."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Condition(StrEnum):
    """State of one process."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class ProcessState(BaseModel):
    """One process, as the supervisor last saw it."""

    model_config = ConfigDict(frozen=True)

    name: str
    why: str
    condition: Condition
    once: bool = False
    pid: int | None = None
    created: float | None = None
    """Creation time of the process, which with the pid identifies it for good."""
    restarts: int = 0
    port: int | None = None
    log: str = ""
    seconds: float | None = None
    """How long it took to become ready."""


class StackState(BaseModel):
    """The whole stack."""

    model_config = ConfigDict(frozen=True)

    phase: StackPhase
    supervisor: int
    error: str = ""
    processes: tuple[ProcessState, ...] = ()


def write_state(home: Path, state: StackState) -> None:
    """Replace the state file at once."""
    write_atomically(home / FILE, state.model_dump_json(indent=2))


def read_state(home: Path) -> StackState | None:
    """The last state; None where there never was one, or where it cannot be read."""
    try:
        return StackState.model_validate_json((home / FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def supervised(home: Path) -> bool:
    """Whether a supervisor runs: it holds a lock that the kernel releases when it dies."""
    try:
        descriptor = os.open(home / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
