"""Rounds of a poller, with an alarm that does not sleep; one real thread at the end."""

import logging
import threading

import pytest

from noria.io.poller import Poller, Trouble


class FakeAlarm:
    """Does in each sleep what the test wrote down for it; the last sleep stops the poller."""

    def __init__(self):
        self.sleeps = []
        self.in_sleep = []
        self.is_set = False
        self.was_set_in = []

    def wait(self, timeout=None, /):
        self.sleeps.append(timeout)
        self.was_set_in.append(self.is_set)
        self.in_sleep[len(self.sleeps) - 1]()
        return self.is_set

    def set(self):
        self.is_set = True

    def clear(self):
        self.is_set = False


def nothing():
    return None


@pytest.fixture
def poll():
    """Plays a poller with what happens in each of its sleeps; the last thing is its stop. Returns what it slept."""

    def poll(look, *in_sleep, **options):
        alarm = FakeAlarm()
        poller = Poller(look, name="test", seconds=2.5, alarm=alarm, **options)
        alarm.in_sleep = [*in_sleep, poller.stop]
        poller.run()
        return alarm

    return poll


def test_run_looks_before_the_first_sleep_and_after_each(poll):
    order = []
    alarm = poll(lambda: order.append("look"), lambda: order.append("sleep"), nothing)
    assert order == ["look", "sleep", "look", "look"]
    assert alarm.sleeps == [2.5, 2.5, 2.5]


def test_run_round_that_raises_is_logged_and_tried_again(poll, caplog):
    rounds, errors = [], []

    def look():
        rounds.append("round")
        if len(rounds) == 1:
            raise ValueError("not this time")

    poll(look, nothing, on_error=lambda: errors.append("error"))
    assert (len(rounds), errors) == (2, ["error"])
    [record] = caplog.records
    assert (record.getMessage(), record.levelno) == ("test: a round failed; the next one tries again", logging.ERROR)
    assert "not this time" in caplog.text


def test_run_on_error_that_raises_ends_no_later_round(poll, caplog):
    rounds = []

    def look():
        rounds.append("round")
        raise ValueError("down")

    def on_error():
        raise ValueError("down too")

    poll(look, nothing, on_error=on_error)
    assert len(rounds) == 2
    assert "test: what follows a failed round failed too" in caplog.text


def test_run_stop_inside_a_round_ends_after_it(poll):
    order = []
    poll(lambda: order.append("look"), at_end=lambda: order.append("end"))
    assert order == ["look", "end"]


def test_wake_ends_one_sleep_only():
    alarm = FakeAlarm()
    poller = Poller(nothing, name="test", seconds=60, alarm=alarm)
    alarm.in_sleep = [poller.wake, nothing, poller.stop]
    poller.run()
    assert alarm.was_set_in == [False, False, False]
    poller.wake()
    assert alarm.is_set


def test_start_returns_after_the_first_round():
    threads = []
    poller = Poller(lambda: threads.append(threading.current_thread().name), name="looking", seconds=60)
    poller.start(patience=30)
    assert threads == ["looking"]
    poller.stop()
    assert "looking" not in [thread.name for thread in threading.enumerate()]


def test_start_slow_first_round_is_waited_for_no_longer_than_asked():
    release = threading.Event()
    poller = Poller(lambda: release.wait(30), name="slow", seconds=60)
    poller.start(patience=0.0)
    assert not release.is_set()
    release.set()
    poller.stop()


def test_stop_before_start_is_harmless():
    Poller(nothing, name="never", seconds=60).stop()


def test_trouble_each_reason_and_the_end_are_logged_once(caplog):
    caplog.set_level(logging.INFO)
    trouble = Trouble(logging.getLogger("test"), "it stays as it is: %s", "it works again")
    for reason in ("", "down", "down", "refused", "", ""):
        trouble.report(reason)
        assert trouble.reason == reason
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "it stays as it is: down"),
        ("WARNING", "it stays as it is: refused"),
        ("INFO", "it works again"),
    ]
