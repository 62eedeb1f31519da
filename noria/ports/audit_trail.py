"""The port of the audit trail: append-only, and each event carries the hash of the one before it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from noria.core.lifecycle.audit_event import AuditEntry, AuditEvent


class AuditTrail(Protocol):
    """Record of who promoted what, when and why."""

    def append(self, entry: AuditEntry) -> AuditEvent:
        """Add an event; durable when this returns. Many writers make one chain."""
        ...

    def events(self, use_case: str | None = None) -> tuple[AuditEvent, ...]:
        """Events in order, of one use case or of all."""
        ...

    def head(self) -> str:
        """Hash of the newest event; seals everything before it."""
        ...

    def verify(self) -> int:
        """Check the whole chain; returns the number of events.

        Raises:
            AuditError: an event was altered, removed or inserted; names the first one that does not fit.
        """
        ...

    def version_in_force(self, use_case: str, at: datetime) -> str:
        """The version promoted last, and not rolled back, that had seen nothing after `at`; "0" where there is none."""
        ...

    def exclusively(self, use_case: str) -> AbstractContextManager[None]:
        """Keep every other promotion and roll-back of the use case out; released if the holder is killed."""
        ...
