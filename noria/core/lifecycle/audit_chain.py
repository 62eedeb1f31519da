"""The audit trail as a chain of events: the next link, the check of all links, and the champions that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from noria.core.base.errors import AuditError
from noria.core.lifecycle.audit_event import Action, AuditEntry, AuditEvent
from noria.core.model.bundle import BASELINE_VERSION

GENESIS = "0" * 64
"""Hash before the first event."""


def next_event(entry: AuditEntry, *, sequence: int, previous_hash: str, at: datetime) -> AuditEvent:
    """The event with its hash; `previous_hash` is that of the event before, or `GENESIS`."""
    place = {"sequence": sequence, "previous_hash": previous_hash, "at": at, "hash": ""}
    draft = AuditEvent.model_validate(entry.model_dump() | place)
    return draft.model_copy(update={"hash": draft.expected_hash()})


def head_of(events: Sequence[AuditEvent]) -> str:
    """Hash of the newest event; `GENESIS` where there is none."""
    return events[-1].hash if events else GENESIS


def verify_chain(events: Sequence[AuditEvent]) -> int:
    """Check a whole chain; returns the number of events.

    Raises:
        AuditError: an event was altered, removed or inserted; names the first one that does not fit.
    """
    previous = GENESIS
    for position, event in enumerate(events, start=1):
        what = f"ops.audit event {event.sequence} ({event.action} of {event.use_case} version {event.version})"
        if event.sequence != position:
            raise AuditError(f"ops.audit event {position} is missing: compare with a backup and find out who had access")
        if event.previous_hash != previous or event.hash != event.expected_hash():
            raise AuditError(f"{what} was altered: compare with a backup and find out who had access")
        previous = event.hash
    return len(events)


def promotions_in_force(events: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Replay: the promotions of one use case that were not rolled back, oldest first; the last one is champion."""
    in_force: list[AuditEvent] = []
    for event in events:
        match event.action:
            case Action.PROMOTED:
                in_force.append(event)
            case Action.ROLLED_BACK:
                in_force = in_force[:-1]
            case Action.FOUND_MOVED:
                in_force = [] if event.version == BASELINE_VERSION else [*in_force, event]
    return in_force


def champion_of(events: Sequence[AuditEvent]) -> str:
    """The champion of one use case as the trail has it."""
    in_force = promotions_in_force(events)
    return in_force[-1].version if in_force else BASELINE_VERSION


def version_in_force(events: Sequence[AuditEvent], at: datetime) -> str:
    """The version of one use case promoted last, not rolled back, that had seen nothing after `at`; "0" if none."""
    for event in reversed(promotions_in_force(events)):
        if event.as_of is not None and event.as_of <= at:
            return event.version
    return BASELINE_VERSION
