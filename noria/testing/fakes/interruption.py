"""How a fake stands in for a process that is killed between two writes."""

from __future__ import annotations


class Killed(BaseException):
    """The process ended here; no `except Exception` of the code under test may catch it."""
