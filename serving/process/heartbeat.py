"""Heartbeats of workers: shared memory in which a worker writes the time, and its parent reads it."""

from __future__ import annotations

import mmap
import struct
from time import monotonic

_WHEN = struct.Struct("d")


class Heartbeats:
    """One time for each worker; create it before the fork."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, max(1, workers) * _WHEN.size)

    def beat(self, worker: int, ahead: float = 0.0) -> None:
        """Write that a worker is alive.

        Args:
            worker: its number.
            ahead: seconds until the next heartbeat is expected, such as for a start.
        """
        _WHEN.pack_into(self._memory, worker * _WHEN.size, monotonic() + ahead)  # the same clock in every process

    def silence(self, worker: int) -> float:
        """Seconds since the last heartbeat; negative while none is expected."""
        (when,) = _WHEN.unpack_from(self._memory, worker * _WHEN.size)
        return monotonic() - float(when)
