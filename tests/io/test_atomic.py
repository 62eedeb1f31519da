"""Files are replaced whole, with their mode, and a failure leaves neither half a file nor a draft."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from noria.io.atomic import SHARED, create_atomically, draft_in, publish, write_atomically


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"\x00\xff", "é\n"])
def test_write_new_folder_makes_it_and_writes_all(tmp_path, content):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert names_in(path.parent) == ["file"]


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_write_any_umask_sets_the_mode_asked_for(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "private", "")
        write_atomically(tmp_path / "shared", "", mode=SHARED)
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "private"), mode_of(tmp_path / "shared")) == (0o600, 0o644)


def test_write_existing_file_replaces_it_and_leaves_open_readers_alone(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "first")
    with path.open() as reader:
        write_atomically(path, "second")
        assert reader.read() == "first"
    assert path.read_text() == "second"


def test_write_place_that_is_a_folder_keeps_it_and_leaves_no_draft(tmp_path):
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", "content")
    assert names_in(tmp_path) == ["taken"]


def test_write_syncs_the_file_before_its_rename_and_the_folder_after(tmp_path, monkeypatch):
    synced = []

    def sync(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), names_in(tmp_path)))

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically(tmp_path / "file", "content")
    (draft, before), (folder, after) = synced
    assert before == [draft.name]
    assert (folder, after) == (tmp_path, ["file"])


def test_draft_error_in_the_block_removes_the_draft(tmp_path):
    def fail(draft):
        draft.write_text("half")
        raise ValueError("the writer fails")

    with pytest.raises(ValueError, match="writer"), draft_in(tmp_path, suffix=".parquet") as draft:
        fail(draft)
    assert draft.suffix == ".parquet"
    assert names_in(tmp_path) == []


def test_draft_published_under_a_name_found_late_stays(tmp_path):
    with draft_in(tmp_path) as draft:
        draft.write_text("content")
        publish(draft, tmp_path / "digest", mode=SHARED)
    assert names_in(tmp_path) == ["digest"]
    assert mode_of(tmp_path / "digest") == SHARED


def test_create_existing_file_keeps_it(tmp_path):
    create_atomically(tmp_path / "file", "first")
    with pytest.raises(FileExistsError):
        create_atomically(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert names_in(tmp_path) == ["file"]
    assert mode_of(tmp_path / "file") == 0o600


def test_draft_killed_process_leaves_a_hidden_draft_and_the_previous_file(tmp_path):
    write_atomically(tmp_path / "file", "first")
    code = (
        "import os, pathlib, signal, sys; from noria.io.atomic import draft_in\n"
        "with draft_in(pathlib.Path(sys.argv[1])) as draft:\n"
        "    draft.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    draft, kept = names_in(tmp_path)
    assert (draft.startswith(".draft-"), kept) == (True, "file")
    assert (tmp_path / "file").read_text() == "first"


@pytest.mark.parametrize("write", [write_atomically, create_atomically])
def test_write_in_a_folder_that_may_not_be_read_succeeds(tmp_path, monkeypatch, write):
    real = os.open

    def refusing(path, *args, **kwargs):
        if Path(path) == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refusing)
    write(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"
