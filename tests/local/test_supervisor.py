"""The supervisor with small processes of our own: order, restarts, failure, and nothing left behind."""

import os
import shutil
import signal
import sys
import threading

import psutil
import pytest

from noria.local.processes import Process
from noria.local.state import LOCK, Condition, StackPhase, read_state
from noria.local.supervisor import Supervisor
from noria.testing.waiting import wait_until

pytestmark = pytest.mark.slow

SLEEP = "import time; time.sleep(600)"
FAMILY = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def process(name, code, *arguments, **options):
    options = {"grace": 2.0, **options}
    return Process(
        name=name, why="test", command=(sys.executable, "-c", code, *arguments), environment=os.environ, **options
    )


@pytest.fixture
def run(tmp_path):
    """Runs a supervisor in a thread; gives a way to wait for a state."""
    started = []

    def start(*processes, home=tmp_path):
        supervisor = Supervisor(home, processes)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        started.append((supervisor, thread))
        return supervisor, thread

    yield start
    for supervisor, thread in started:
        supervisor.stop()
        thread.join(60)
        assert not thread.is_alive()


def until(home, wanted, seconds=60):
    def state_if_wanted():
        state = read_state(home)
        return state if state and wanted(state) else None

    return wait_until(state_if_wanted, lambda: str(read_state(home)), seconds=seconds)


def named(state, name):
    return next(one for one in state.processes if one.name == name)


def is_running(state):
    return state.phase is StackPhase.RUNNING


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_starts_in_order_and_stops_in_the_reverse(tmp_path, run):
    marks = tmp_path / "marks"
    note = "import sys, signal, time\nopen(sys.argv[1], 'a').write('+' + sys.argv[2] + ' ')\n"
    tell = "def end(*_):\n    open(sys.argv[1], 'a').write('-' + sys.argv[2] + ' ')\n    sys.exit()\n"
    code = note + tell + "signal.signal(signal.SIGTERM, end)\nwhile True: time.sleep(0.1)"

    def wrote(name):
        return lambda: f"+{name} " in marks.read_text()

    supervisor, thread = run(
        process("c", code, str(marks), "c", after=("b",), ready=wrote("c")),
        process("b", note, str(marks), "b", after=("a",), once=True),
        process("a", code, str(marks), "a", ready=wrote("a")),
    )
    state = until(tmp_path, is_running)
    assert named(state, "b").condition is Condition.DONE
    supervisor.stop()
    thread.join(60)
    assert marks.read_text().split()[:3] == ["+a", "+b", "+c"]
    assert sorted(marks.read_text().split()[3:]) == ["-a", "-c"]
    assert read_state(tmp_path).phase is StackPhase.STOPPED


def test_what_outlives_is_stopped_last(tmp_path, run):
    order = tmp_path / "order"
    code = (
        "import sys, signal, time\n"
        "def end(*_):\n    open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(0.1)"
    )

    def up(name):
        return lambda: "up" in (tmp_path / "logs" / f"{name}.log").read_text()

    supervisor, thread = run(
        process("base", code, str(order), "1", ready=up("base")),
        process("top", code, str(order), "2", after=("base",), ready=up("top")),
    )
    until(tmp_path, is_running)
    supervisor.stop()
    thread.join(60)
    assert order.read_text() == "21"


def test_a_process_that_dies_is_started_again_and_counted(tmp_path, run):
    run(process("one", SLEEP))
    first = named(until(tmp_path, is_running), "one")
    os.kill(first.pid, signal.SIGKILL)
    second = named(
        until(tmp_path, lambda s: named(s, "one").restarts == 1 and named(s, "one").condition == "running"), "one"
    )
    assert second.pid != first.pid
    assert read_state(tmp_path).phase is StackPhase.RUNNING


def test_a_restart_meets_nothing_of_the_life_before(tmp_path, run):
    note = tmp_path / "child"
    run(process("parent", FAMILY, str(note), ready=note.exists))
    parent = named(until(tmp_path, is_running), "parent")
    until(tmp_path, lambda _: note.exists() and note.read_text())
    orphan = int(note.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    until(tmp_path, lambda s: named(s, "parent").restarts == 1 and named(s, "parent").condition == "running")
    assert not alive(orphan)


def test_stopping_leaves_nothing_even_of_the_deaf(tmp_path, run):
    note = tmp_path / "child"
    deaf = tmp_path / "logs" / "deaf.log"
    supervisor, thread = run(
        process("deaf", STUBBORN, ready=lambda: "deaf" in deaf.read_text(), grace=0.5),
        process("parent", FAMILY, str(note), ready=lambda: bool(note.read_text())),
    )
    state = until(tmp_path, is_running)
    pids = [one.pid for one in state.processes] + [int(note.read_text())]
    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)
    supervisor.stop()
    thread.join(60)
    assert [pid for pid in pids if alive(pid)] == []


def test_a_step_that_fails_stops_everything_and_says_why(tmp_path, run):
    _, thread = run(process("other", SLEEP), process("step", "raise SystemExit('no disk')", once=True))
    thread.join(60)
    state = read_state(tmp_path)
    assert state.phase is StackPhase.FAILED
    assert "step ended with exit code 1" in state.error
    assert "no disk" in state.error
    assert all(one.pid is None for one in state.processes)


def test_one_that_cannot_start_is_tried_three_times(tmp_path, run):
    _, thread = run(process("broken", "print('boom'); raise SystemExit(3)", ready=lambda: False))
    thread.join(60)
    state = read_state(tmp_path)
    assert "broken ended with exit code 3" in state.error
    assert (tmp_path / "logs" / "broken.log").read_text().count("boom") == 3


def test_one_that_never_becomes_ready_is_given_up(tmp_path, run):
    _, thread = run(process("lazy", SLEEP, ready=lambda: False, patience=0.5))
    thread.join(60)
    assert "lazy was not ready after" in read_state(tmp_path).error


def test_a_home_that_is_moved_stops_everything_and_says_so_where_it_is_now(tmp_path, run, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)  # as the supervisor is started
    _, thread = run(process("one", SLEEP), home=home)
    running = named(until(home, is_running), "one")
    home.rename(tmp_path / "moved")
    thread.join(60)
    state = read_state(tmp_path / "moved")
    assert state.phase is StackPhase.FAILED
    assert state.error == f"{home} was moved or deleted while the stack ran, so everything was stopped"
    assert not alive(running.pid)
    assert not home.exists(), "nothing is written where the home was"


@pytest.mark.parametrize("lost", [".", LOCK])
def test_a_home_that_is_deleted_wholly_or_half_leaves_no_process(tmp_path, run, lost):
    home = tmp_path / "home"
    home.mkdir()
    _, thread = run(process("one", SLEEP), home=home)
    running = named(until(home, is_running), "one")
    shutil.rmtree(home) if lost == "." else (home / lost).unlink()
    thread.join(60)
    assert not thread.is_alive()
    assert not alive(running.pid)
    assert home.exists() is (lost == LOCK)
