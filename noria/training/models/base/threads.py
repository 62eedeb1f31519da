"""Threads of a fit, so that parallel workers share the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def threads_per_worker(workers: int) -> int:
    """Cores for each worker on one machine; at least one."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit the threads of the numerical libraries, also of those that are loaded already."""
    # Read when OpenMP loads: threads that spin while they wait make a small fit on a busy machine twenty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no types

    with threadpool_limits(limits=threads):
        yield
