"""Predictions on local disk until PostgreSQL has them: one `write` per request, before it is answered.

A folder of segments, each a file of JSON lines. A process writes to one segment of its own and holds an advisory lock on it;
a segment that nobody holds is finished, whether it was sealed or its process was killed, and whoever locks it may store it.
So several processes may share a folder, and a restart finds what a killed process left. A line that was torn by a kill
was never acknowledged, and is dropped. There is no fsync: a killed process loses nothing, a machine that loses power may
lose the last second.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noria.core.clock import Clock
from serving.errors import JournalError
from serving.prediction_id import uuid7

_SUFFIX = ".jsonl"
_ROTATE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Backlog:
    """What is on disk and not yet in PostgreSQL."""

    segments: int
    bytes: int


class Segment:
    """A file of the journal, locked by this process for as long as it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self._descriptor = descriptor

    def append(self, line: bytes) -> None:
        """Write one line, in one system call."""
        written = os.write(self._descriptor, line)
        self.size += written
        if written != len(line):
            raise OSError(f"wrote {written} of {len(line)} bytes: the disk is full")

    def lines(self) -> list[bytes]:
        """The complete lines."""
        *complete, _torn = self.path.read_bytes().split(b"\n")
        return complete

    def remove(self) -> None:
        """Delete and unlock it: PostgreSQL has it all."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Unlock it."""
        os.close(self._descriptor)


class Journal:
    """The folder of segments."""

    def __init__(self, folder: Path, clock: Clock, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self.folder = folder
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._current: Segment | None = None
        self.failure = ""
        """Why the last line could not be written; empty when it could."""

    def append(self, line: bytes) -> None:
        """Keep one line, newline included; it survives a kill of the process once this has returned.

        Raises:
            JournalError: the disk refuses.
        """
        with self._lock:
            try:
                segment = self._current = self._current or self._open()
                segment.append(line)
            except OSError as error:
                self._seal()  # what follows a torn line must not be glued to it
                self.failure = f"{self.folder}: cannot be written ({error.strerror or error}); free or repair the disk"
                raise JournalError(self.failure) from error
            self.failure = ""
            if segment.size >= self._rotate_bytes:
                self._seal()

    def seal(self) -> None:
        """Finish the current segment, so that it can be stored."""
        with self._lock:
            self._seal()

    def finished(self) -> Iterator[Segment]:
        """Every segment that nobody writes to, oldest first, locked; the caller removes or closes each."""
        for path in self._paths():
            if segment := _claim(path):
                yield segment

    def backlog(self) -> Backlog:
        """How much is waiting, of all processes on this folder."""
        sizes = []
        for path in self._paths():
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # stored in between
                continue
        return Backlog(len(sizes), sum(sizes))

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def _seal(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def _open(self) -> Segment:
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{uuid7(self._clock.now())}{_SUFFIX}"
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if segment := _claim(path):  # None: another process took the empty file for a finished one
                return segment


def _claim(path: Path) -> Segment | None:
    """The segment, locked; None where another holds it or has just stored it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return Segment(path, descriptor)
