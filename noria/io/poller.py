"""Background threads that look at something again and again, and troubles that are logged once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)


class Alarm(Protocol):
    """The part of `threading.Event` that a poller sleeps with; a test passes a fake one."""

    def wait(self, timeout: float | None = None, /) -> bool:
        """Sleep for some seconds, or until it is set."""
        ...

    def set(self) -> None:
        """End the sleep."""
        ...

    def clear(self) -> None:
        """Let the next `wait` sleep again."""
        ...


def _nothing() -> None:
    return None


class Poller:
    """Call a function on a thread: at once, then after each pause, until `stop`.

    An exception ends its round, not the thread: it is logged, and the next round tries again.
    """

    def __init__(
        self,
        look: Callable[[], None],
        *,
        name: str,
        seconds: float,
        on_error: Callable[[], None] = _nothing,
        at_end: Callable[[], None] = _nothing,
        alarm: Alarm | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            look: one round.
            name: of the thread, and of the poller in the log.
            seconds: pause between two rounds.
            on_error: called after a round that raised.
            at_end: called on the thread after the last round.
            alarm: how to sleep; None for a `threading.Event`.
        """
        self._look = look
        self._name = name
        self._seconds = seconds
        self._on_error = on_error
        self._at_end = at_end
        self._alarm = alarm or threading.Event()
        self._stopping = False
        self._first_round = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self, patience: float = 0.0) -> None:
        """Begin, and wait for the end of the first round.

        Args:
            patience: longest wait in seconds; the round goes on after it.
        """
        self._thread.start()
        self._first_round.wait(patience)

    def stop(self, patience: float = 15.0) -> None:
        """Let the present round be the last one, and wait for the thread; harmless if it never started.

        Args:
            patience: longest wait in seconds.
        """
        self._stopping = True
        self._alarm.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def wake(self) -> None:
        """Begin the next round now instead of after the pause."""
        self._alarm.set()

    def run(self) -> None:
        """Look until `stop`; this is what the thread does."""
        while not self._stopping:
            self._round()
            self._first_round.set()
            self._alarm.wait(self._seconds)
            self._alarm.clear()
        self._at_end()

    def _round(self) -> None:
        try:
            self._look()
        except Exception:  # a fault in one round must not end all later ones
            _log.exception("%s: a round failed; the next one tries again", self._name)
            self._react()

    def _react(self) -> None:
        try:
            self._on_error()
        except Exception:
            _log.exception("%s: what follows a failed round failed too", self._name)


class Trouble:
    """Reason why something does not work now; logged when it begins or changes, and when it ends.

    Attributes:
        reason: empty if all is well.
    """

    def __init__(self, log: logging.Logger, begins: str, ends: str, reason: str = "") -> None:
        """Log nothing yet.

        Args:
            log: where it is logged.
            begins: warning with one `%s`, for the reason.
            ends: message once it works again.
            reason: at the start.
        """
        self._log = log
        self._begins = begins
        self._ends = ends
        self.reason = reason

    def report(self, reason: str) -> None:
        """Take the reason of now; empty if all is well."""
        if reason and reason != self.reason:
            self._log.warning(self._begins, reason)
        elif self.reason and not reason:
            self._log.info(self._ends)
        self.reason = reason
