"""Return of freed memory to the system, which the C library would keep."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 256 * 1024


def give_back_memory() -> None:
    """Let glibc map each large block by itself, so that it is returned when it is freed, and keep few pools.

    Segments of the journal are megabytes that live for milliseconds. After the first of them glibc would take all others
    from its pools, one for every thread, and those grow and do not shrink. Other C libraries have no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 2)
