"""Identifiers that sort by time (UUID version 7, RFC 9562), so that the index of the table grows at one end."""

from __future__ import annotations

import os
from datetime import datetime

_RANDOM_BYTES = 10
_AT_ONCE = 400
"""Identifiers per call for random bytes: a call for each would cost as much as all else here."""


class _RandomParts:
    """Random parts of identifiers, drawn in advance; a forked process must not use those of its parent."""

    def __init__(self) -> None:
        self._ready: list[str] = []

    def draw(self) -> str:
        """The end of an identifier: version, 12 random bits, variant, 62 random bits."""
        while True:
            try:
                return self._ready.pop()  # one thread at a time gets an item, without a lock
            except IndexError:
                drawn = os.urandom(_RANDOM_BYTES * _AT_ONCE).hex()
                self._ready += [_end(drawn[at : at + 20]) for at in range(0, len(drawn), 20)]

    def forget(self) -> None:
        """Drop all of them; the next call draws new ones."""
        self._ready.clear()


def _end(random: str) -> str:
    variant = "89ab"[int(random[3], 16) & 3]
    return f"-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"


_random_parts = _RandomParts()
os.register_at_fork(after_in_child=_random_parts.forget)


def uuid7(now: datetime) -> str:
    """A new identifier: milliseconds of `now` (48 bits), then 74 random bits."""
    time = f"{int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF:012x}"
    return f"{time[:8]}-{time[8:]}{_random_parts.draw()}"
