"""Folders of bundles by digest: whole or not there, also if two write the same one or a process is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from noria.core.base.errors import BundleError
from noria.io.bundle_files import read_manifest
from noria.io.file_lock import file_lock


def is_whole(folder: Path, digest: str) -> bool:
    """Whether the folder holds the bundle of that digest, every file as its manifest says."""
    try:
        read_manifest(folder, digest)
    except (BundleError, OSError):
        return False
    return True


def put_in_place(draft: Path, folder: Path, digest: str) -> None:
    """Rename a fetched bundle to where it is looked for; a whole one that is there stays, for others may be reading it.

    Args:
        draft: the fetched bundle, on the same disk; gone afterwards, unless a whole one was there already.
        folder: where the bundle belongs. Its parent exists.
        digest: the bundle's digest.

    Raises:
        OSError: the disk refuses.
    """
    with file_lock(folder.parent):
        if is_whole(folder, digest):
            return
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
