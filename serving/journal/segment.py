"""One file of a journal: complete lines, and a lock while a process writes to it."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Backlog:
    """Segments and bytes on disk that are not yet in PostgreSQL."""

    segments: int
    bytes: int


class Segment:
    """A file of the journal, locked by this process for as long as it is open.

    Attributes:
        size: bytes of whole lines that this process wrote.
        is_torn: an incomplete line is at its end and could not be removed; nothing may be written after it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self.is_torn = False
        self._descriptor = descriptor

    def append(self, line: bytes) -> None:
        """Write one line, in one system call; all of it, or nothing.

        Raises:
            OSError: the disk refuses.
        """
        written = os.write(self._descriptor, line)
        if written != len(line):
            self._truncate()
            raise OSError(errno.ENOSPC, f"wrote {written} of {len(line)} bytes: the disk is full")
        self.size += written

    def lines(self) -> list[bytes]:
        """The complete lines."""
        *complete, _torn = self.path.read_bytes().split(b"\n")
        return complete

    def remove(self) -> None:
        """Delete and unlock it, once PostgreSQL has all its lines."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Unlock it."""
        os.close(self._descriptor)

    def _truncate(self) -> None:
        """Remove an incomplete line, which a full disk allows; else every request would leave a torn segment."""
        self.is_torn = True
        os.ftruncate(self._descriptor, self.size)
        self.is_torn = False


def create(path: Path) -> Segment | None:
    """A new segment, locked; None if another process has just taken it for a finished one, and stored it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return claim(path)


def claim(path: Path) -> Segment | None:
    """The segment, locked; None if another process holds it or has just stored it."""
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
