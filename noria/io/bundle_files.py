"""Bundles as folders on disk: written last file last, read only as sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from noria.core.base.errors import BundleError
from noria.core.model.bundle import GOLDEN, MANIFEST, GoldenRequest, Manifest, sha256


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write the files and the manifest that seals them; returns the bundle's digest.

    The manifest is written last: a folder without one is not a bundle, whenever the process was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sealed = manifest.model_copy(update={"files": {name: sha256(content) for name, content in sorted(files.items())}})
    content = sealed.model_dump_json(indent=1).encode()
    (folder / MANIFEST).write_bytes(content)
    return sha256(content)


def read_manifest(folder: Path, digest: str | None = None) -> Manifest:
    """Read the manifest and check every file against it.

    Args:
        folder: where the bundle is.
        digest: what the registry says the bundle's digest is; None to skip that check.

    Raises:
        BundleError: a file is missing, altered or not of this format.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        if digest is not None and sha256(content) != digest:
            raise BundleError(
                f"{folder / MANIFEST}: SHA-256 is {sha256(content)}, the registry says {digest}; fetch it again"
            )
        manifest = Manifest.model_validate_json(content)
        for name, expected in manifest.files.items():
            if "/" in name or (found := sha256((folder / name).read_bytes())) != expected:
                raise BundleError(f"{folder / name}: SHA-256 is {found}, the manifest says {expected}; fetch it again")
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename}: is missing; the bundle is incomplete, fetch it again") from error
    except ValidationError as error:
        raise BundleError(
            f"{folder / MANIFEST}: is not a bundle manifest of format 1 ({error.error_count()} errors)"
        ) from error
    return manifest


def read_golden(folder: Path) -> tuple[GoldenRequest, ...]:
    """The golden requests of a bundle; empty where it has none."""
    path = folder / GOLDEN
    return tuple(GoldenRequest.model_validate(item) for item in json.loads(path.read_bytes())) if path.exists() else ()
