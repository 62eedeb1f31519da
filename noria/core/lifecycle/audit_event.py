"""Events of the audit trail: what happened, who did it, and the hash that links each event to the one before."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from noria.core.base.formatting import plain_name

APPROVED_BY = "approved_by"
"""Key of the evidence that names the approver."""


class Action(StrEnum):
    """The kind of an event."""

    PROMOTION_INTENDED = "promotion_intended"
    PROMOTED = "promoted"
    ROLL_BACK_INTENDED = "roll_back_intended"
    ROLLED_BACK = "rolled_back"
    ABANDONED = "abandoned"
    """An intended move did not happen: its process ended before."""
    FOUND_MOVED = "found_moved"
    """The registry had another champion than the trail says: someone moved it past Noria."""
    NOMINATED = "nominated"
    """A candidate whose gates passed became challenger."""
    REJECTED = "rejected"
    """A person rejected a candidate."""
    REFUSED = "refused"
    """A promotion was asked for without the approval that it needs."""
    REHEARSED = "rehearsed"
    """Promotion and roll-back were gone through on a scratch model; no champion moved."""
    ROLLOUT_STARTED = "rollout_started"
    """A challenger began to score beside the champion; see `noria.core.lifecycle.rollout.Did` for this and what follows."""
    ROLLOUT_STEPPED = "rollout_stepped"
    ROLLOUT_PAUSED = "rollout_paused"
    ROLLOUT_RESUMED = "rollout_resumed"
    ROLLOUT_WON = "rollout_won"
    ROLLOUT_COMPLETED = "rollout_completed"
    ROLLOUT_ROLLED_BACK = "rollout_taken_back"
    ROLLOUT_ABORTED = "rollout_aborted"
    KEY_CREATED = "key_created"
    """A key of serving was made; `version` is its id."""
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"

    @property
    def words(self) -> str:
        """The event as people read it."""
        return plain_name(self.name).lower()


MOVES = frozenset(
    {
        Action.PROMOTION_INTENDED,
        Action.PROMOTED,
        Action.ROLL_BACK_INTENDED,
        Action.ROLLED_BACK,
        Action.ABANDONED,
        Action.FOUND_MOVED,
    }
)
"""Events about the champion alias; the others leave it where it is."""


def approval(approved_by: str) -> dict[str, str]:
    """Evidence of who approved; empty if no approval was asked for."""
    return {APPROVED_BY: approved_by} if approved_by else {}


class AuditEntry(BaseModel):
    """Event of a version before it is in the trail: what happened, who did it and why; the trail makes an event of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    action: Action
    version: str
    """The champion after a move; else the version that the event is about."""
    previous: str
    """The champion before a move; else the one that serves."""
    as_of: datetime | None
    """Nothing that became known after this instant was used to train `version`; None for version 0."""
    actor: str
    reason: str
    evidence: dict[str, str]

    @property
    def approved_by(self) -> str:
        """The approver; empty if no approval was asked for."""
        return self.evidence.get(APPROVED_BY, "")


class AuditEvent(AuditEntry):
    """An entry with its place in the trail."""

    sequence: int
    at: datetime
    previous_hash: str
    hash: str

    def expected_hash(self) -> str:
        """SHA-256 over everything but the hash itself, as canonical JSON; instants in UTC."""
        fields = self.model_dump(exclude={"hash"})
        for name in ("at", "as_of"):
            fields[name] = fields[name].astimezone(UTC).isoformat(timespec="microseconds") if fields[name] else None
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
