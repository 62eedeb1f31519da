"""The journal keeps appended lines through kills, and gives each segment to the process that claims it first."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from noria.io.clock import SystemClock
from serving.contract.errors import JournalError, JournalFullError
from serving.journal.journal import Journal, Level


def drain(journal):
    lines = []
    for segment in journal.finished():
        lines += segment.lines()
        segment.remove()
    return lines


def test_a_sealed_segment_is_finished_and_an_open_one_is_not(journal):
    journal.append(b"1\n")
    assert drain(journal) == []
    journal.seal()
    journal.append(b"2\n")
    assert drain(journal) == [b"1"]
    journal.seal()
    assert drain(journal) == [b"2"]
    assert journal.backlog().segments == 0


def test_a_segment_is_sealed_when_it_is_large(tmp_path):
    journal = Journal(tmp_path, SystemClock(), rotate_bytes=10)
    for number in range(10):
        journal.append(b"line %d\n" % number)
    assert journal.backlog().segments == 5
    assert sorted(drain(journal)) == [b"line %d" % number for number in range(10)]


def test_a_torn_last_line_is_dropped(journal):
    journal.append(b"whole\n")
    journal.append(b'{"torn": ')
    journal.seal()
    assert drain(journal) == [b"whole"]


def test_journal_files_are_private_to_their_owner(journal):
    journal.append(b"1\n")
    (path,) = journal.folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_an_error_and_the_next_line_is_not_glued_to_the_torn_one(journal, monkeypatch):
    journal.append(b"1\n")
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:2]))
        with pytest.raises(JournalFullError, match="disk is full"):
            journal.append(b"2222\n")
    assert journal.level is Level.FULL
    journal.append(b"3\n")
    journal.seal()
    assert (journal.level, journal.failure) == (Level.FINE, "")
    assert sorted(drain(journal)) == [b"1", b"3"]


def test_two_claim_at_once_and_each_segment_goes_to_one(journal):
    for number in range(4):
        journal.append(b"%d\n" % number)
        journal.seal()
    one, other = journal.finished(), Journal(journal.folder, SystemClock()).finished()
    mine = [next(one), next(one)]
    theirs = list(other)
    assert (len(mine), len(theirs)) == (2, 2)
    assert sorted(line for segment in mine + theirs for line in segment.lines()) == [b"0", b"1", b"2", b"3"]


def test_append_acknowledged_before_a_kill_is_there(tmp_path):
    program = (
        "import sys; from pathlib import Path; from noria.io.clock import SystemClock\n"
        "from serving.journal.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), SystemClock())\n"
        "for number in range(10**9): journal.append(b'%d\\n' % number); print(number, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = [process.stdout.readline().strip() for _ in range(1000)]
    assert drain(Journal(tmp_path, SystemClock())) == []  # it lives: the segment is its own
    process.send_signal(signal.SIGKILL)
    printed += [line.strip() for line in process.stdout.readlines() if line.endswith(b"\n")]
    process.wait(20)
    process.stdout.close()
    found = drain(Journal(tmp_path, SystemClock()))
    assert found[: len(printed)] == printed
    assert len(found) - len(printed) in (0, 1)  # one may have been kept and not yet printed


def _append_many(folder, name, count):
    journal = Journal(folder, SystemClock())
    for number in range(count):
        journal.append(f"{name}-{number}\n".encode())
        if number % 7 == 0:
            journal.seal()
    journal.seal()


def test_nothing_is_lost_or_doubled_while_others_write_and_claim(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(tmp_path, name, 300)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    reader, found = Journal(tmp_path, SystemClock()), []
    while any(writer.is_alive() for writer in writers):
        found += drain(reader)
        time.sleep(0.001)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found += drain(reader)
    assert sorted(found) == sorted(f"{name}-{number}".encode() for name in ("a", "b") for number in range(300))


def test_a_journal_warns_when_it_fills_refuses_when_it_is_full_and_takes_lines_again_when_there_is_room(tmp_path):
    journal = Journal(tmp_path, SystemClock(), rotate_bytes=100, limit_bytes=1000)
    line = b"x" * 99 + b"\n"
    for _ in range(7):
        journal.append(line)
    assert (journal.level, journal.warning) == (Level.FINE, "")
    journal.append(line)
    assert journal.level is Level.FILLING
    assert "80%" in journal.warning
    assert journal.failure == ""
    for _ in range(2):
        journal.append(line)
    for _ in range(3):
        with pytest.raises(JournalFullError, match="NORIA_SERVING_JOURNAL_MB"):
            journal.append(line)
    assert journal.level is Level.FULL
    assert journal.backlog().bytes == 1000, "nothing of what was refused is kept"
    next(journal.finished()).remove()
    journal.measure()
    assert journal.level is Level.FULL, "it does not flutter"
    assert "NORIA_SERVING_JOURNAL_MB" in journal.failure
    next(journal.finished()).remove()
    journal.measure()
    assert (journal.level, journal.failure) == (Level.FILLING, "")
    journal.append(line)


def test_measure_counts_lines_of_earlier_and_other_processes(tmp_path):
    line = b"x" * 99 + b"\n"
    other = Journal(tmp_path, SystemClock())
    other.append(line)
    journal = Journal(tmp_path, SystemClock(), limit_bytes=350)
    for _ in range(2):
        journal.append(line)
    other.append(line)
    journal.append(b"not yet seen\n")
    journal.measure()
    with pytest.raises(JournalFullError):
        journal.append(line)
    other.seal()
    journal.seal()


def test_measure_counts_lines_that_were_set_aside(tmp_path):
    (tmp_path / "set_aside.txt").write_bytes(bytes(1000))
    with pytest.raises(JournalFullError):
        Journal(tmp_path, SystemClock(), limit_bytes=1000).append(b"1\n")


def test_a_disk_that_is_full_keeps_whole_lines_only_and_is_found_free_without_a_request(tmp_path):
    """A real one: the kernel lets no file of this process grow further, and cuts the line in the middle."""
    program = (
        "import resource, sys; from pathlib import Path; from noria.io.clock import SystemClock\n"
        "from serving.contract.errors import JournalFullError; from serving.journal.journal import Journal, Level\n"
        "journal, kept = Journal(Path(sys.argv[1]), SystemClock()), 0\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "for _ in range(50):\n"
        "    try: journal.append(b'x' * 299 + b'\\n'); kept += 1\n"
        "    except JournalFullError: pass\n"
        "journal.measure(); assert journal.level is Level.FULL and 'cannot be written' in journal.failure\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "journal.measure(); assert journal.level is Level.FINE and not journal.failure\n"
        "journal.append(b'last\\n'); journal.seal(); print(kept)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3"
    assert len(list(tmp_path.iterdir())) == 1, "no torn file for each request, and no probe"
    assert drain(Journal(tmp_path, SystemClock())) == [b"x" * 299] * 3 + [b"last"]


def test_append_unwritable_folder_is_reported_and_recovers(tmp_path):
    folder = tmp_path / "journal"
    folder.write_text("a file stands there")
    journal = Journal(folder, SystemClock())
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(b"1\n")
    assert journal.level is Level.FINE, "it is broken, not full"
    journal.measure()
    assert journal.failure
    folder.unlink()
    journal.measure()
    assert journal.failure == ""
    journal.append(b"1\n")
    journal.seal()
    assert drain(journal) == [b"1"]
