"""What is known of keys, on local disk, so that serving lets them in while PostgreSQL is down, also when it starts.

The file has hashes of secrets and no secret: whoever reads it learns which apps there are, and cannot pass for one of them.
Whoever could write it could let themselves in, so it is believed only where nobody but us can.
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
    """There is a file of keys, and it cannot be used."""


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    known: KnownKeys


class KeyFile:
    """A file of mode 0600, whole or not there; several processes may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> KnownKeys | None:
        """What was known last; None where nothing was ever written.

        Raises:
            KeyFileError: it is damaged, or not ours alone; says why.
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
        """Replace what was known.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(_Content(_FORMAT, known)), indent=1) + b"\n")

    def _check_owner(self, facts: os.stat_result) -> None:
        if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & _OTHERS_WRITE:
            raise KeyFileError(f"{self._path}: others may write it, so it is not believed; see to owner and mode (0600)")
