"""An audit trail in memory that keeps the contract of the port; the contract suite runs over it and over PostgreSQL."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from noria.core.base.clock import Clock
from noria.core.lifecycle.audit_chain import head_of, next_event, verify_chain, version_in_force
from noria.core.lifecycle.audit_event import Action, AuditEntry, AuditEvent
from noria.testing.fakes.interruption import DatabaseRefusalError, Killed

_LONGEST_WAIT = 30.0


class InMemoryAuditTrail:
    """`noria.ports.audit_trail.AuditTrail` without a database; threads may share it.

    Attributes:
        killed_at: the next event with one of these actions is not written: `Killed` is raised, once for each.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[AuditEvent] = []
        self._writing = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.killed_at: set[Action] = set()

    def append(self, entry: AuditEntry) -> AuditEvent:
        """Add an event."""
        if entry.action in self.killed_at:
            self.killed_at.remove(entry.action)
            raise Killed(entry.action)
        texts = (entry.use_case, entry.version, entry.previous, entry.actor, entry.reason)
        if "\0" in "".join((*texts, *entry.evidence, *entry.evidence.values())):
            raise DatabaseRefusalError("a text with NUL")
        with self._writing:
            event = next_event(
                entry, sequence=len(self._events) + 1, previous_hash=head_of(self._events), at=self._clock.now()
            )
            self._events.append(event)
        return event

    def events(self, use_case: str | None = None) -> tuple[AuditEvent, ...]:
        """Events in order, of one use case or of all."""
        return tuple(event for event in self._events if use_case in (None, event.use_case))

    def head(self) -> str:
        """Hash of the newest event."""
        return head_of(self._events)

    def verify(self) -> int:
        """Check the whole chain."""
        return verify_chain(self._events)

    def version_in_force(self, use_case: str, at: datetime) -> str:
        """The version in force that had seen nothing after `at`."""
        return version_in_force(self.events(use_case), at)

    @contextmanager
    def exclusively(self, use_case: str) -> Iterator[None]:
        """Keep other threads out. A thread that asks twice waits for itself, as it would in PostgreSQL.

        Raises:
            TimeoutError: the lock is not released.
        """
        lock = self._locks[use_case]
        if not lock.acquire(timeout=_LONGEST_WAIT):
            raise TimeoutError(f"the lock of {use_case} is held for more than {_LONGEST_WAIT:g} s: is it taken twice?")
        try:
            yield
        finally:
            lock.release()

    def alter(self, sequence: int, **changes: object) -> None:
        """Change an event that is there, as an administrator of the database could."""
        self._events[sequence - 1] = self._events[sequence - 1].model_copy(update=changes)
