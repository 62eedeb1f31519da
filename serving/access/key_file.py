"""Known keys on local disk, so that serving accepts them while PostgreSQL is down, also at its start.

The file has hashes of secrets and no secret: a reader learns which apps exist, and cannot use their keys. A writer could add
a key of their own, so the file counts only if no other user can write it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from noria.io.atomic import write_atomically
from serving.access.known_keys import KnownKeys

_FORMAT = 1
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class KeyFileError(Exception):
    """The file of keys exists and cannot be used."""


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    known: KnownKeys


class KeyFile:
    """A file of mode 0600, replaced in one step; several processes may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> KnownKeys | None:
        """The keys that were known last; None if none were ever written.

        Raises:
            KeyFileError: it is damaged, or others may write it; says why.
        """
        try:
            with self._path.open("rb") as file:
                self._check_owner(os.fstat(file.fileno()))
                content = msgspec.json.decode(file.read(), type=_Content)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeyFileError(
                f"{self._path}: cannot be read ({error}); keys are known again when PostgreSQL answers"
            ) from error
        if content.format != _FORMAT:
            raise KeyFileError(f"{self._path}: has format {content.format}, this version of Noria reads {_FORMAT}")
        return content.known

    def write(self, known: KnownKeys) -> None:
        """Replace the known keys.

        Raises:
            OSError: it cannot be written; the previous keys stay.
        """
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(_Content(_FORMAT, known)), indent=1) + b"\n")

    def _check_owner(self, status: os.stat_result) -> None:
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & _OTHERS_WRITE:
            raise KeyFileError(f"{self._path}: others may write it, so it is not used; correct its owner and mode (0600)")
