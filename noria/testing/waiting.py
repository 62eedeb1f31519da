"""Waiting for what another thread, process or server does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found], what: str | Callable[[], str] = "", *, seconds: float = 240, pause: float = 0.05
) -> Found:
    """Call a condition again and again until its value is true; return that value.

    Args:
        condition: may raise to end the waiting at once, for example because a process has ended.
        what: the message of the error: a text, or a function that gives it, such as the end of a log.
        seconds: the longest wait; a limit for a hopeless case, not a measurement.
        pause: seconds between two calls.

    Raises:
        TimeoutError: the value is still false after these seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
    return found
