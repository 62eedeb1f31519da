"""Lines on local disk until PostgreSQL has them: one `write` per request, before it is answered.

A folder of segments, each a file of JSON lines. A process writes to one segment of its own, under an advisory lock. A
segment without a lock is finished, whether it was sealed or its process was killed; the process that locks it may store it.
So several processes may share a folder, and a restart finds the segments of a killed process. A line that was torn by a
kill was never acknowledged, and is dropped. There is no fsync: a killed process loses nothing, a machine that loses power
may lose the last second.

The folder may grow to a limit. Its size is measured in the background and counted in between, so that no request asks the
disk; processes that share a folder learn of each other's lines at the next measurement.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from noria.core.base.clock import Clock
from serving.contract.errors import JournalError, JournalFullError
from serving.contract.prediction_id import uuid7
from serving.journal.segment import SUFFIX, Backlog, Segment, claim, create

_ROTATE_BYTES = 1024 * 1024
_FILLING, _FREE_AGAIN = 0.8, 0.9
"""Shares of the limit: a warning from the first on; full at 1, until below the second, so that it does not flutter."""
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PROBE = "probe"
_PROBE_BYTES = 64 * 1024


class Level(Enum):
    """Fill level of a journal."""

    FINE = "fine"
    FILLING = "filling"
    FULL = "full"


class Journal:
    """The folder of segments."""

    def __init__(
        self, folder: Path, clock: Clock, rotate_bytes: int = _ROTATE_BYTES, limit_bytes: int | None = None
    ) -> None:
        """Measure what an earlier process left.

        Args:
            folder: made with the first line.
            clock: names segments by time.
            rotate_bytes: size at which a segment is finished.
            limit_bytes: size of the folder from which on lines are refused; None for no limit.
        """
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._current: Segment | None = None
        self._bytes = 0
        self._disk_full = False
        self._over_limit = False
        self._error = ""
        self.measure()

    @property
    def failure(self) -> str:
        """Reason why lines are refused; empty if they are not."""
        return self._error or (self._over_the_limit() if self._over_limit else "")

    @property
    def level(self) -> Level:
        """Fill level."""
        if self._over_limit or self._disk_full:
            return Level.FULL
        return Level.FILLING if self.limit_bytes and self._bytes >= _FILLING * self.limit_bytes else Level.FINE

    @property
    def warning(self) -> str:
        """Warning for the operator; empty if all is well."""
        if self.limit_bytes is None or self.level is Level.FINE:
            return self.failure
        share = self._bytes / self.limit_bytes
        return self.failure or (
            f"{self.folder}: {share:.0%} of {_megabytes(self.limit_bytes)} wait for PostgreSQL; at 100 % the journal is "
            "full: start PostgreSQL, or raise NORIA_SERVING_JOURNAL_MB"
        )

    def append(self, line: bytes) -> None:
        """Keep one line, newline included; it survives a kill of the process once this has returned.

        Raises:
            JournalFullError: the folder has reached its limit, or the disk is full. Nothing of the line is kept.
            JournalError: the disk refuses for another reason.
        """
        with self._lock:
            if self.limit_bytes is not None and (self._over_limit or self._bytes + len(line) > self.limit_bytes):
                self._over_limit = True
                raise JournalFullError(self._over_the_limit())
            try:
                segment = self._current = self._current or self._open()
                segment.append(line)
            except OSError as error:
                raise self._refused(error) from error
            self._bytes += len(line)
            if self._error:
                self._error, self._disk_full = "", False
            if segment.size >= self._rotate_bytes:
                self._seal()

    def seal(self) -> None:
        """Finish the current segment, so that it can be stored."""
        with self._lock:
            self._seal()

    def finished(self) -> Iterator[Segment]:
        """Every segment that no process writes to, oldest first, locked; the caller removes or closes each."""
        for path in self._paths():
            if segment := claim(path):
                yield segment

    def backlog(self) -> Backlog:
        """Segments and bytes that wait, of all processes on this folder."""
        sizes = []
        for path in self._paths():
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # stored in between
                continue
        return Backlog(len(sizes), sum(sizes))

    def measure(self) -> None:
        """Measure the folder, and whether it can be written again; call it in the background, once a second."""
        before = self._bytes
        size = _size_of(self.folder)
        if self._error and self._writes():
            with self._lock:
                self._error, self._disk_full = "", False
        with self._lock:
            self._bytes = size + max(self._bytes - before, 0)  # lines that came meanwhile may count twice, once
            if self.limit_bytes is not None and self._bytes < _FREE_AGAIN * self.limit_bytes:
                self._over_limit = False

    def _refused(self, error: OSError) -> JournalError:
        """Error of a failed write; call it with the lock held."""
        self._disk_full = error.errno in _DISK_IS_FULL
        self._error = f"{self.folder}: cannot be written ({error.strerror or error}); free or repair the disk"
        if self._current is not None and self._current.is_torn:
            self._seal()  # the next line must not be glued to a torn one
        return JournalFullError(self._error) if self._disk_full else JournalError(self._error)

    def _over_the_limit(self) -> str:
        return (
            f"{self.folder}: holds as much as NORIA_SERVING_JOURNAL_MB allows ({_megabytes(self.limit_bytes or 0)}), since "
            "PostgreSQL does not take it; start PostgreSQL, or raise the limit"
        )

    def _writes(self) -> bool:
        """Whether a small file can be written: once requests are sent elsewhere, no line would show it."""
        path = self.folder / f"{_PROBE}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(_PROBE_BYTES))
        except OSError:
            return False
        finally:
            _remove(path)
        return True

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _seal(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def _open(self) -> Segment:
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            segment = create(self.folder / f"{uuid7(self._clock.now())}{SUFFIX}")
            if segment:  # None: another process took the empty file for a finished one
                return segment


def _size_of(folder: Path) -> int:
    """Bytes of all files of a folder, lines that were set aside included; 0 if it is missing or cannot be read."""
    size = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    size += entry.stat().st_size
                except FileNotFoundError:  # stored in between
                    continue
    except OSError:
        return 0
    return size


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the next probe writes over it
        return


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f} MB"
