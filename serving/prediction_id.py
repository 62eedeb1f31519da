"""Identifiers that sort by time (UUID version 7, RFC 9562), so that the table's index grows at one end."""

from __future__ import annotations

import os
from datetime import datetime

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


def uuid7(now: datetime) -> str:
    """A new identifier: milliseconds of `now` (48 bits), then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    number = milliseconds << 80 | _VERSION | (random & _RANDOM_A) | _VARIANT | (random & _RANDOM_B)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
