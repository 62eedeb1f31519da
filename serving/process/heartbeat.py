"""How a parent sees that a worker's event loop still turns: memory that both see, in which the worker writes the time."""

from __future__ import annotations

import mmap
import struct
from time import monotonic

_WHEN = struct.Struct("d")


class Heartbeats:
    """One time for each worker; made before the fork."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, max(1, workers) * _WHEN.size)

    def beat(self, worker: int, ahead: float = 0.0) -> None:
        """Say that a worker is alive.

        Args:
            worker: its number.
            ahead: seconds for which it need not say so again, as while it starts.
        """
        _WHEN.pack_into(self._memory, worker * _WHEN.size, monotonic() + ahead)  # the same clock in every process

    def silence(self, worker: int) -> float:
        """Seconds since it last was; negative while it need not say so."""
        (when,) = _WHEN.unpack_from(self._memory, worker * _WHEN.size)
        return monotonic() - float(when)
