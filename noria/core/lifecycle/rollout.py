"""A rollout: a challenger that answers a share of the requests beside the champion, until it takes over or is rolled back.

The whole state is one document, kept by the registry that serving asks anyway. Jobs write it under the lock that promotions
use; serving only reads it. Who is answered by whom is a pure function of the document and a key, so that every answer can be
explained afterwards from the log alone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from noria.core.base.formatting import plain_name
from noria.core.base.results import Result
from noria.core.use_case.rollout import RolloutPolicy

_WHOLE = 1 << 64
ROLLOUT_TAG = "rollout"
"""Where the registry keeps the document of a use case."""
GUARD_TAG = "rollout_guard"
"""Where serving reports that it has rolled back a challenger."""


def assign(key: str, seed: str, share: float) -> bool:
    """Whether the challenger answers for a key.

    The first 8 bytes of BLAKE2b over ``<seed>|<key>``, as a number of 0 to 2^64, must lie below the share. So it is sticky
    (the same key, the same answer, in every process), monotone (who was in at 5 % is in at 25 %), and uniform.

    Args:
        key: the entity, or the prediction's id where there is none.
        seed: the rollout's id: another rollout draws other entities.
        share: of the keys, in percent; 0 takes none, 100 takes all.
    """
    # an entity with half a surrogate pair is refused long before; if it came, it would still be assigned
    drawn = hashlib.blake2b(f"{seed}|{key}".encode("utf-8", "surrogatepass")).digest()[:8]
    return int.from_bytes(drawn, "big") < share * _WHOLE / 100


class RolloutState(StrEnum):
    """State of a rollout."""

    RUNNING = "running"
    PAUSED = "paused"
    """Stays at its share; nothing is decided until it is resumed. Serving's guard still watches."""
    FINISHING = "finishing"
    """Won; its promotion is under way."""
    COMPLETED = "completed"
    ROLLED_BACK = "taken_back"
    """The challenger did harm, or lost."""
    ABORTED = "aborted"
    """A person ended it, or there was nothing left to decide."""

    @property
    def words(self) -> str:
        """The state as people read it."""
        return plain_name(self.name).lower()


_LIVE = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.FINISHING)


class RolloutEvent(StrEnum):
    """Effect of the last write to the document; each is an event of the audit trail."""

    STARTED = "started"
    STEPPED = "stepped"
    PAUSED = "paused"
    RESUMED = "resumed"
    WON = "won"
    COMPLETED = "completed"
    ROLLED_BACK = "taken_back"
    ABORTED = "aborted"


class _Document(BaseModel):
    """Read by other processes, perhaps of another release: fields that they do not know are ignored.

    Some fields are written under the names that the first release gave them (their aliases).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class RolloutVersion(_Document):
    """One of the two versions."""

    version: str
    digest: str
    """Of its bundle."""


class Rollout(_Document):
    """The document."""

    id: str
    """Also the seed of the assignment."""
    use_case: str
    champion: RolloutVersion
    """The one that serves; with another one the rollout has no meaning any more."""
    challenger: RolloutVersion
    policy: RolloutPolicy
    """As the use case had it at the start: an edit changes the next rollout, not the rules of this one."""
    state: RolloutState
    step: int = 0
    shadow: bool = False
    """The challenger scores every request, and answers none."""
    promoted: bool = False
    """Whether the challenger became champion."""
    revision: int = Field(default=1, validation_alias="turn", serialization_alias="turn")
    """Counts the writes."""
    event: RolloutEvent = Field(default=RolloutEvent.STARTED, validation_alias="did", serialization_alias="did")
    """What the last write did."""
    reason: str
    """Why it was done."""
    actor: str
    """Who did it."""
    started_at: datetime
    since: datetime
    """When the present step began."""
    changed_at: datetime
    """When the document was written."""
    requested_by: str
    approved_by: str = ""
    allow_retired: bool = Field(default=False, validation_alias="returning", serialization_alias="returning")
    """Whether a version may return that was champion, or rolled back, before. Only a person sets it."""

    @property
    def share(self) -> int:
        """Share of the keys that the challenger answers, in percent."""
        if self.shadow or not self.is_live:
            return 0
        return self.policy.shares[min(self.step, len(self.policy.shares) - 1)]

    @property
    def is_live(self) -> bool:
        """Whether the challenger scores requests."""
        return self.state in _LIVE

    @property
    def is_last_step(self) -> bool:
        """Whether the next step is the promotion."""
        return not self.shadow and self.step >= len(self.policy.shares) - 1

    @property
    def next_share(self) -> int:
        """Share after the next step, in percent; 100 where that is the promotion."""
        if self.is_last_step:
            return 100
        return self.policy.shares[0 if self.shadow else self.step + 1]

    def takes(self, key: str) -> bool:
        """Whether the challenger answers for an entity, or for a prediction's id where there is no entity."""
        return assign(key, self.id, self.share)


class GuardReport(_Document):
    """Report of a serving process that it has rolled back a challenger."""

    rollout: str
    """Id of the rollout."""
    reason: str
    at: datetime
    by: str = ""
    """Host and process."""


class RolloutResult(Result):
    """State of a rollout, as tasks hand it on."""

    id: str
    champion: str
    challenger: str
    state: RolloutState
    step: int
    share: int
    shadow: bool
    promoted: bool
    reason: str
    waiting_for: str = ""
    """What the next step waits for; empty where it is over."""

    @classmethod
    def of(cls, rollout: Rollout, waiting_for: str = "") -> RolloutResult:
        """The facts of a document."""
        return cls(
            id=rollout.id,
            champion=rollout.champion.version,
            challenger=rollout.challenger.version,
            state=rollout.state,
            step=rollout.step,
            share=rollout.share,
            shadow=rollout.shadow,
            promoted=rollout.promoted,
            reason=rollout.reason,
            waiting_for=waiting_for,
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in _LIVE
