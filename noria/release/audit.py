"""The audit trail: append-only, and each event carries the hash of the one before it.

Altering, removing or inserting an event in the middle breaks the chain, and `verify` says where. What a chain alone cannot
show is that its newest events were cut off: keep `head()` somewhere else (a mail, a ticket) to be able to prove that too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from noria.core.base.clock import Clock
from noria.core.base.errors import AuditError
from noria.core.lifecycle.audit_chain import GENESIS, head_of, next_event, verify_chain, version_in_force
from noria.core.lifecycle.audit_event import Action, AuditEntry, AuditEvent
from noria.io.advisory_locks import lock_session, lock_transaction

_CHAIN = "noria.audit"
_COLUMNS = "sequence, at, use_case, action, version, previous, as_of, actor, reason, evidence, previous_hash, hash"
_INTENTIONS = frozenset({Action.PROMOTION_INTENDED, Action.ROLL_BACK_INTENDED})


class PostgresAuditTrail:
    """`noria.ports.audit_trail.AuditTrail` in PostgreSQL (`ops.audit`)."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._holders: dict[tuple[int, str], sa.Connection] = {}

    def append(self, entry: AuditEntry) -> AuditEvent:
        """Add an event; durable when this returns.

        Raises:
            AuditError: it is the intention to move the champion, and the lock of `exclusively` was lost meanwhile.
        """
        with self._engine.begin() as connection:
            # One writer at a time, over all use cases: the chain is one.
            lock_transaction(connection, _CHAIN)
            last = connection.execute(sa.text("select sequence, hash from ops.audit order by sequence desc limit 1")).first()
            event = next_event(
                entry,
                sequence=last.sequence + 1 if last else 1,
                previous_hash=last.hash if last else GENESIS,
                at=self._clock.now(),
            )
            _insert(connection, event)
            if entry.action in _INTENTIONS:
                self._require_lock(entry.use_case)
        return event

    def events(self, use_case: str | None = None) -> tuple[AuditEvent, ...]:
        """Events in order, of one use case or of all."""
        where = "" if use_case is None else "where use_case = :use_case"
        query = sa.text(f"select {_COLUMNS} from ops.audit {where} order by sequence")
        with self._engine.connect() as connection:
            rows = connection.execute(query, {} if use_case is None else {"use_case": use_case})
            return tuple(AuditEvent.model_validate(dict(row)) for row in rows.mappings())

    def head(self) -> str:
        """Hash of the newest event; seals everything before it."""
        return head_of(self.events())

    def verify(self) -> int:
        """Check the whole chain; returns the number of events.

        Raises:
            AuditError: an event was altered, removed or inserted; names the first one that does not fit.
        """
        return verify_chain(self.events())

    def version_in_force(self, use_case: str, at: datetime) -> str:
        """The version promoted last, and not rolled back, that had seen nothing after `at`; "0" where there is none."""
        return version_in_force(self.events(use_case), at)

    @contextmanager
    def exclusively(self, use_case: str) -> Iterator[None]:
        """Keep every other promotion and roll-back of the use case out, in any process; released if we are killed."""
        holder = (threading.get_ident(), use_case)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # never back to the pool: when the session ends, for any cause, its lock does
            lock_session(connection, f"noria.promotion/{use_case}")
            self._holders[holder] = connection
            try:
                yield
            finally:
                del self._holders[holder]

    def _require_lock(self, use_case: str) -> None:
        """Let nothing be moved by one whose lock another may have by now."""
        if (connection := self._holders.get((threading.get_ident(), use_case))) is None:
            return
        try:
            connection.execute(sa.text("select 1"))
        except sa.exc.DBAPIError as error:
            what = f"{use_case}: the connection that kept other promotions out was lost, and nothing was changed"
            raise AuditError(f"{what}; try again") from error


def _insert(connection: sa.Connection, event: AuditEvent) -> None:
    names = _COLUMNS.split(", ")
    values = ", ".join("cast(:evidence as jsonb)" if name == "evidence" else f":{name}" for name in names)
    fields = {**event.model_dump(), "action": event.action.value, "evidence": json.dumps(event.evidence)}
    connection.execute(sa.text(f"insert into ops.audit ({_COLUMNS}) values ({values})"), fields)
