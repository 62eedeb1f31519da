"""Log of requests that need scope `admin`: one line of JSON each, in an append-only file."""

from __future__ import annotations

import os
from pathlib import Path

from serving.contract.errors import JournalError


class AdminLog:
    """`<state>/admin.jsonl`, mode 0600; several processes may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: bytes) -> None:
        """Write a line; it survives a kill of the process once this has returned.

        Raises:
            JournalError: it cannot be written, so the request must be refused.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                written = os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(f"{self._path}: cannot be written ({error.strerror}); free or repair the disk") from error
        if written != len(line):
            raise JournalError(f"{self._path}: the disk is full; free some of it")
