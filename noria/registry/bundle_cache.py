"""A folder of bundles by digest: each is whole and checked, also after a kill while fetching."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from noria.core.model.bundle import MANIFEST, Manifest
from noria.io.bundle_files import read_manifest
from noria.io.bundle_folder import is_whole, put_in_place


def fetch_into_cache(folder: Path, digest: str, fetch: Callable[[Path], Path]) -> Path:
    """The bundle's folder, fetched unless it is there.

    Args:
        folder: where the bundle is to be.
        digest: what the registry says the bundle's digest is.
        fetch: downloads into the folder it is given, and returns where the bundle's files then are.

    Raises:
        BundleError: what was fetched is not what the registry says.
    """
    if is_whole(folder, digest):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as draft:
        fetched = fetch(Path(draft))
        _keep_sealed(fetched, read_manifest(fetched, digest))
        fetched.chmod(0o755)
        put_in_place(fetched, folder, digest)
    return folder


def _keep_sealed(folder: Path, manifest: Manifest) -> None:
    """Remove what the manifest does not vouch for: the registry keeps MLflow's own files beside a bundle's."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (MANIFEST, *manifest.files):
            path.unlink()
