"""Counters of many processes in one view: each writes a memory-mapped file of its own, and any of them reads all.

This is prometheus_client's multiprocess mode, with one difference: a file belongs to a worker's number, not to its process.
So a worker that is started again continues the counters of the killed one, and counters never fall.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PARENT = "parent"


@dataclass
class _Writer:
    """Name of this process in its file."""

    name: str = _PARENT


class SharedMetrics:
    """A folder of counters, of this process and of those forked from it."""

    def __init__(self) -> None:
        """Make the folder; must come before the first counter is made."""
        self.folder = Path(tempfile.mkdtemp(prefix=f"noria-metrics-{os.getpid()}-"))
        self._writer = _Writer()
        os.environ[_VARIABLE] = str(self.folder)  # prometheus_client's only way to set it
        values.ValueClass = values.MultiProcessValue(lambda: self._writer.name)  # type: ignore[no-untyped-call]

    def write_as(self, worker: int) -> None:
        """Count as the worker of that number from now on; call it once in each process after the fork."""
        self._writer.name = str(worker)

    def on_exit(self, worker: int) -> None:
        """Forget the gauges of a worker that has died; its counters stay."""
        mark_process_dead(worker, str(self.folder))  # type: ignore[no-untyped-call]

    def forget_parent(self) -> None:
        """Remove what making the counters left: the parent answers nothing, and its zeros would be the lowest gauges."""
        for path in self.folder.glob(f"*_{_PARENT}.db"):
            path.unlink()

    def remove(self) -> None:
        """Remove the folder, after the last process has stopped counting."""
        os.environ.pop(_VARIABLE, None)
        values.ValueClass = values.MutexValue
        shutil.rmtree(self.folder, ignore_errors=True)


def sum_of_all_processes() -> CollectorRegistry | None:
    """Counters of all processes; None if this process counts alone."""
    folder = os.environ.get(_VARIABLE)
    if not folder:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry
