"""How a fake stands in for a process that is killed between two writes, and for a database that refuses one."""

from __future__ import annotations


class Killed(BaseException):
    """The process ended here; no `except Exception` of the code under test may catch it."""


class DatabaseRefusalError(Exception):
    """PostgreSQL would refuse these rows: a key that is there already, or a value that a column does not take."""
