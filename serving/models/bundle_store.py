"""Bundles on local disk, and a pointer to the last good one of each use case, so that serving starts without the registry.

bundles/<use case>/<digest>/    complete or not there: fetched beside its place, then renamed
current/<use case>.json         the version that answered last
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from noria.core.base.errors import BundleError
from noria.core.model.bundle import MANIFEST, Manifest, sha256
from noria.io.atomic import write_atomically
from noria.io.bundle_folder import put_in_place

_KEPT = 5
_DRAFT = ".fetching-"
_ABANDONED_SECONDS = 3600
_DIGEST = re.compile(r"[0-9a-f]{64}")
Download = Callable[[str, Path], None]
"""Fetches the file of that name into a path."""


@dataclass(frozen=True)
class Pointer:
    """The version that answered last; "0" is the baseline, and has no digest."""

    version: str
    digest: str


class BundleStore:
    """A folder of bundles and pointers; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._bundles = folder / "bundles"
        self._current = folder / "current"

    def folder(self, use_case: str, digest: str) -> Path:
        """Folder of a bundle, whether it was fetched or not.

        Raises:
            BundleError: the digest is not a SHA-256.
        """
        if not _DIGEST.fullmatch(digest):
            raise BundleError(f"{use_case}: {digest[:80]!r} is not a SHA-256; register the version again")
        return self._bundles / use_case / digest

    def fetch(self, use_case: str, digest: str, download: Download) -> Path:
        """Fetch every file of a bundle; their content is checked when they are loaded.

        Raises:
            BundleError: the manifest has another digest than in the registry, or the disk refuses.
            RegistryError: a file cannot be fetched.
        """
        folder = self.folder(use_case, digest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
        try:
            download(MANIFEST, draft / MANIFEST)
            for name in _files(draft / MANIFEST, digest):
                download(name, draft / name)
            put_in_place(draft, folder, digest)
        except OSError as error:
            raise BundleError(f"{folder}: cannot be written ({error.strerror}); free or repair the disk") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder

    def discard(self, use_case: str, digest: str) -> None:
        """Remove a bundle that turned out to be damaged."""
        shutil.rmtree(self.folder(use_case, digest), ignore_errors=True)

    def prune(self, use_case: str, keep: str) -> None:
        """Remove all but the few bundles that were loaded last."""
        bundles = [
            path for path in (self._bundles / use_case).glob("*") if path.name != keep and _DIGEST.fullmatch(path.name)
        ]
        bundles.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in (*bundles[_KEPT - 1 :], *self._abandoned(use_case)):
            shutil.rmtree(path, ignore_errors=True)

    def _abandoned(self, use_case: str) -> list[Path]:
        """Incomplete bundles of killed processes: so old that no process is still fetching them."""
        drafts = (self._bundles / use_case).glob(f"{_DRAFT}*")
        return [path for path in drafts if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS]

    def pointer(self, use_case: str) -> Pointer | None:
        """The version that answered last; None if none did, or the file cannot be read."""
        try:
            content = json.loads((self._current / f"{use_case}.json").read_bytes())
            return Pointer(str(content["version"]), str(content["digest"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def point(self, use_case: str, pointer: Pointer) -> None:
        """Remember which version answers.

        Raises:
            OSError: the disk refuses.
        """
        write_atomically(self._current / f"{use_case}.json", json.dumps(asdict(pointer)))


def _files(path: Path, digest: str) -> tuple[str, ...]:
    content = path.read_bytes()
    if sha256(content) != digest:
        raise BundleError(f"{MANIFEST}: SHA-256 is {sha256(content)}, the registry says {digest}; register it again")
    try:
        names = tuple(Manifest.model_validate_json(content).files)
    except ValidationError as error:
        raise BundleError(f"{MANIFEST}: is not a bundle manifest of format 1 ({error.error_count()} errors)") from error
    if bad := [name for name in names if Path(name).name != name or name in (".", "..")]:
        raise BundleError(f"{MANIFEST}: lists {bad[0]!r}, which is not a plain file name")
    return names
