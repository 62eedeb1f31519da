"""Keeps the document of a rollout and the audit trail in step.

The document in the registry is the truth. It is replaced whole, under the lock of promotions, and says what the last write
did, who did it and why. A process killed between the document and its event leaves the event to the next call, which finds
it missing and writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from noria.core.base.clock import Clock
from noria.core.base.errors import RolloutError
from noria.core.lifecycle.audit_event import Action, AuditEntry, approval
from noria.core.lifecycle.rollout import Rollout, RolloutEvent, RolloutState
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.ports.audit_trail import AuditTrail
from noria.ports.model_registry import ModelRegistry

_ACTIONS = {event: Action(f"rollout_{event.value}") for event in RolloutEvent}
STATES = {
    RolloutEvent.STARTED: RolloutState.RUNNING,
    RolloutEvent.STEPPED: RolloutState.RUNNING,
    RolloutEvent.PAUSED: RolloutState.PAUSED,
    RolloutEvent.RESUMED: RolloutState.RUNNING,
    RolloutEvent.WON: RolloutState.FINISHING,
    RolloutEvent.COMPLETED: RolloutState.COMPLETED,
    RolloutEvent.ROLLED_BACK: RolloutState.ROLLED_BACK,
    RolloutEvent.ABORTED: RolloutState.ABORTED,
}


@dataclass(frozen=True)
class RolloutStore:
    """Document and events of one use case. A writer holds `AuditTrail.exclusively`.

    Attributes:
        actor: who writes.
    """

    registry: ModelRegistry
    audit: AuditTrail
    clock: Clock
    use_case: UseCase
    actor: str

    def current(self) -> Rollout:
        """The rollout that is under way, or the last one.

        Raises:
            RolloutError: there never was one.
        """
        found = self.registry.rollout(self.use_case.name)
        if found is None:
            raise RolloutError(f"{self.use_case.name} has no rollout: `noria rollout start {self.use_case.name}`")
        return found

    def settled(self) -> Rollout | None:
        """The document, with its event in the trail."""
        rollout = self.registry.rollout(self.use_case.name)
        if rollout is None:
            return None
        written = {"rollout": rollout.id, "turn": str(rollout.revision)}
        if not any(event.evidence.items() >= written.items() for event in self.audit.events(self.use_case.name)):
            self._note(rollout)
        return rollout

    def open(self, rollout: Rollout) -> Rollout:
        """Keep a new document; everybody sees which version is tried."""
        self.registry.set_challenger(self.use_case.name, rollout.challenger.version)
        return self._keep(rollout)

    def write(self, rollout: Rollout, event: RolloutEvent, reason: str, **changes: Any) -> Rollout:
        """Replace the document: what was done, why, and what that changes."""
        written = rollout.model_copy(
            update={
                **changes,
                "event": event,
                "state": STATES[event],
                "revision": rollout.revision + 1,
                "actor": self.actor,
                "reason": reason,
                "changed_at": self.clock.now(),
            }
        )
        return self._keep(written)

    def end(self, rollout: Rollout, event: RolloutEvent, reason: str) -> Rollout:
        """End it without a promotion; the challenger waits no more."""
        name = self.use_case.name
        if self.registry.alias_state(name).challenger == rollout.challenger.version:
            self.registry.set_challenger(name, BASELINE_VERSION)
        return self.write(rollout, event, reason)

    def _keep(self, rollout: Rollout) -> Rollout:
        self.registry.set_rollout(rollout)
        self._note(rollout)
        return rollout

    def _note(self, rollout: Rollout) -> None:
        challenger = self.registry.version(self.use_case.name, rollout.challenger.version)
        facts = {"rollout": rollout.id, "turn": str(rollout.revision), "share": str(rollout.share)}
        self.audit.append(
            AuditEntry(
                use_case=self.use_case.name,
                action=_ACTIONS[rollout.event],
                version=rollout.challenger.version,
                previous=rollout.champion.version,
                as_of=challenger.as_of,
                actor=rollout.actor,
                reason=rollout.reason,
                evidence=facts | approval(rollout.approved_by),
            )
        )
