"""Files that are whole or not there: written beside their place, synced to disk, then renamed.

A failed write removes its draft. A killed process may leave a hidden ``.draft-*`` file in the folder; readers never see it,
and it can be deleted at any time that no process writes there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DRAFT_PREFIX = ".draft-"
PRIVATE = 0o600
SHARED = 0o644
"""Mode of a file that workers of other users read."""


def write_atomically(path: Path, content: bytes | str, *, mode: int = PRIVATE) -> None:
    """Replace a file in one step; it survives a power cut after the call.

    Args:
        path: of the file; its folder is made if it is missing.
        content: bytes, or text that is encoded as UTF-8.
        mode: permissions of the file, for any umask.

    Raises:
        OSError: the file cannot be written; the previous one stays.
    """
    with draft_in(path.parent) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        publish(draft, path, mode=mode)


def create_atomically(path: Path, content: bytes | str, *, mode: int = PRIVATE) -> None:
    """Write a file that must not exist yet: of several processes, one succeeds.

    Args:
        path: of the file; its folder is made if it is missing.
        content: bytes, or text that is encoded as UTF-8.
        mode: permissions of the file, for any umask.

    Raises:
        FileExistsError: the file exists; it stays as it is.
        OSError: the file cannot be written.
    """
    with draft_in(path.parent) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        _seal(draft, mode)
        path.hardlink_to(draft)
        _sync_names(path.parent)


@contextmanager
def draft_in(folder: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give an empty file to write to, of mode 0600; it is removed at the end unless it was published.

    Args:
        folder: of the file that the draft becomes; made if it is missing.
        suffix: end of the draft's name.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=DRAFT_PREFIX, suffix=suffix, dir=folder)
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def publish(draft: Path, path: Path, *, mode: int = PRIVATE) -> None:
    """Rename a draft to a path in the same folder, replacing the file that is there.

    Raises:
        OSError: the disk refuses.
    """
    _seal(draft, mode)
    draft.replace(path)
    _sync_names(path.parent)


def _seal(draft: Path, mode: int) -> None:
    draft.chmod(mode)
    _sync(draft)


def _sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on disk, where one may read it: the file itself is there already."""
    with suppress(PermissionError):
        _sync(folder)


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
