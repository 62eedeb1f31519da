"""Starts, moves and ends rollouts: decided in `noria.core.lifecycle.rollout`, done here, written down in the audit trail.

A promotion takes the lock of promotions itself, so a rollout that has won is announced first (`finishing`), promoted,
and then written down; each of the three may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from noria.core.base.errors import ApprovalError, PromotionConflictError, RolloutError
from noria.core.lifecycle.audit_event import Action, AuditEntry, AuditEvent, approval
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import ModelVersion
from noria.core.lifecycle.rollout import Rollout, RolloutEvent, RolloutState, RolloutVersion
from noria.core.lifecycle.rollout_decision import (
    RolloutAction,
    RolloutComparison,
    RolloutContext,
    RolloutDecision,
    decide_rollout,
)
from noria.core.use_case import RolloutPolicy
from noria.release.approvals import require_approval
from noria.release.promotion import PromotionDecision, PromotionOutcome, decide_promotion, promote
from noria.rollout.store import STATES, RolloutStore

_ENDED_BADLY = (Action.ROLLOUT_ROLLED_BACK, Action.ROLLOUT_ABORTED)
_ENDS = {
    RolloutAction.KEEP_CHAMPION: RolloutEvent.COMPLETED,
    RolloutAction.ROLL_BACK: RolloutEvent.ROLLED_BACK,
    RolloutAction.ABORT: RolloutEvent.ABORTED,
}
"""How a rollout ends without a promotion."""


@dataclass(frozen=True)
class RolloutStep:
    """A rollout after a turn.

    Attributes:
        waiting_for: what the next turn waits for; empty where the rollout is over.
    """

    rollout: Rollout
    waiting_for: str = ""


class RolloutController(RolloutStore):
    """Changes of one use case's rollouts in the name of a person or a task."""

    def start(self, request: PromotionRequest, breaking_changes: Sequence[str] = ()) -> Rollout:
        """Let a version score beside the champion; a rollout of it that is live goes on as it is.

        Args:
            request: what is asked; its actor is the controller's.
            breaking_changes: what apps could no longer send or read.

        Raises:
            RolloutError: the use case has none, another version is rolled out, this one was rolled back before, or it breaks
                apps.
            PromotionConflictError: the champion has moved since the gates were checked.
            ApprovalError: the use case asks for another person's approval.
        """
        policy, version = self._policy(), request.candidate.version
        with self.audit.exclusively(self.use_case.name):
            champion = self.registry.champion(self.use_case.name)
            current = self.settled()
            if current is not None and self._goes_on(current, version, champion.version):
                return current
            registered = self.registry.version(self.use_case.name, version)
            decision = decide_promotion(request, registered, champion.version, breaking_changes)
            self._require_startable(decision, version, allow_retired=request.allow_retired)
            self._require_approval(registered, champion, request.approved_by)
            return self._begin(
                policy,
                champion,
                registered,
                reason=request.why,
                approved_by=request.approved_by,
                allow_retired=request.allow_retired,
            )

    def serves_without_rollout(self, version: str) -> bool:
        """Whether a version is champion, and became so otherwise."""
        name = self.use_case.name
        if self.registry.champion(name).version != version:
            return False
        rollout = self.registry.rollout(name)
        return rollout is None or rollout.challenger.version != version

    def pause(self, reason: str) -> Rollout:
        """Stay at the present share until it is resumed."""
        return self._change(RolloutEvent.PAUSED, reason, only=(RolloutState.RUNNING,))

    def resume(self, reason: str) -> Rollout:
        """Go on; the present step begins again."""
        return self._change(RolloutEvent.RESUMED, reason, only=(RolloutState.PAUSED,))

    def abort(self, reason: str) -> Rollout:
        """Let the champion answer everything again."""
        return self._change(RolloutEvent.ABORTED, reason, only=(RolloutState.RUNNING, RolloutState.PAUSED))

    def advance(self, seen: Rollout, comparison: RolloutComparison, rows: int, *, idle: bool = False) -> RolloutStep:
        """One turn: wait, step, win or lose. Repeated, or by two at once, it acts once.

        Args:
            seen: the document that the comparison was made for; where it has changed since, nothing is done.
            comparison: what the judge says.
            rows: rows that the challenger scored since the step began.
            idle: whether no request has come for as long as the policy's `idle` says.
        """
        with self.audit.exclusively(self.use_case.name):
            rollout = self.settled() or self.current()
            if (rollout.id, rollout.revision) != (seen.id, seen.revision):
                return RolloutStep(rollout, "" if not rollout.is_live else "the next turn: it was changed meanwhile")
            decision = self._decide(rollout, comparison, rows, idle)
            step = self._do(rollout, decision)
        return RolloutStep(self._finish(step.rollout)) if decision.next is RolloutAction.FINISH else step

    def _decide(self, rollout: Rollout, comparison: RolloutComparison, rows: int, idle: bool) -> RolloutDecision:
        name = self.use_case.name
        champion, guard = self.registry.champion(name).version, self.registry.guard_report(name)
        return decide_rollout(rollout, RolloutContext(champion, guard, comparison, rows, idle, self.clock.now()))

    def _do(self, rollout: Rollout, decision: RolloutDecision) -> RolloutStep:
        if decision.next is RolloutAction.WAIT:
            return RolloutStep(rollout, decision.reason if rollout.is_live else "")
        if decision.next in _ENDS:
            return RolloutStep(self.end(rollout, _ENDS[decision.next], decision.reason))
        if decision.next is RolloutAction.STEP:
            step = 0 if rollout.shadow else rollout.step + 1
            stepped = self.write(
                rollout, RolloutEvent.STEPPED, decision.reason, step=step, shadow=False, since=self.clock.now()
            )
            return RolloutStep(stepped, "the time of this step")
        if decision.next is RolloutAction.COMPLETE:
            return RolloutStep(self.write(rollout, RolloutEvent.COMPLETED, decision.reason, promoted=True))
        announced = rollout.state is RolloutState.FINISHING
        return RolloutStep(rollout if announced else self.write(rollout, RolloutEvent.WON, decision.reason))

    def _finish(self, rollout: Rollout) -> Rollout:
        """Promote the winner, by compare-and-swap, and write that down."""
        refused = self._promote(rollout)
        with self.audit.exclusively(self.use_case.name):
            current = self.current()
            if (current.id, current.revision) != (rollout.id, rollout.revision):
                return current  # another call has written it down
            if refused:
                return self.end(rollout, RolloutEvent.ABORTED, refused)
            return self.write(rollout, RolloutEvent.COMPLETED, rollout.reason, promoted=True)

    def _promote(self, rollout: Rollout) -> str:
        """Why the winner may not become champion after all; empty where it has."""
        request = PromotionRequest(
            self.registry.version(self.use_case.name, rollout.challenger.version).reference(),
            actor=rollout.requested_by,
            approved_by=rollout.approved_by,
            reason=rollout.reason,
            allow_retired=rollout.allow_retired,
        )
        try:
            result = promote(self.registry, self.audit, self.use_case, request)
        except (ApprovalError, PromotionConflictError) as error:
            return str(error)
        return "" if result.promoted else result.reason

    def _policy(self) -> RolloutPolicy:
        if self.use_case.rollout is None:
            raise RolloutError(
                f"{self.use_case.name} has no section rollout in its use_case.yaml: add one, or `noria promote` at once"
            )
        return self.use_case.rollout

    def _goes_on(self, current: Rollout, version: str, champion: str) -> bool:
        """Whether the rollout that is there is the one that is asked for."""
        if current.challenger.version == version and (current.is_live or (current.promoted and champion == version)):
            return True
        if current.is_live:
            raise RolloutError(
                f"version {current.challenger.version} of {self.use_case.name} is being rolled out: wait for it, or "
                f"`noria rollout abort {self.use_case.name} --reason ...`"
            )
        return False

    def _require_startable(self, decision: PromotionDecision, version: str, *, allow_retired: bool) -> None:
        name = self.use_case.name
        if decision.outcome is PromotionOutcome.CONFLICT:
            raise PromotionConflictError(f"{name}: {decision.reason}")
        if decision.outcome is not PromotionOutcome.PROMOTE:
            raise RolloutError(f"{name}: {decision.reason}")
        ends = [event for event in self.audit.events(name) if _is_end(event, version)]
        if ends and ends[-1].action in _ENDED_BADLY and not allow_retired:
            raise RolloutError(
                f"{name}: version {version} did not get through its last rollout ({ends[-1].reason}); it does not "
                f"return by itself: `noria rollout start {name} {version} --reason ...` tries again"
            )

    def _require_approval(self, registered: ModelVersion, champion: ModelVersion, approved_by: str) -> None:
        asked = AuditEntry(
            use_case=self.use_case.name,
            action=Action.ROLLOUT_STARTED,
            version=registered.version,
            previous=champion.version,
            as_of=registered.as_of,
            actor=self.actor,
            reason="a rollout was asked for",
            evidence=approval(approved_by),
        )
        require_approval(self.audit, self.use_case, asked)

    def _begin(self, policy: RolloutPolicy, champion: ModelVersion, registered: ModelVersion, **facts: Any) -> Rollout:
        now = self.clock.now()
        rollout = Rollout(
            id=f"{self.use_case.name}/{registered.version}/{now:%Y%m%dT%H%M%S.%f}",
            use_case=self.use_case.name,
            champion=RolloutVersion(version=champion.version, digest=champion.bundle_digest),
            challenger=RolloutVersion(version=registered.version, digest=registered.bundle_digest),
            policy=policy,
            state=RolloutState.RUNNING,
            shadow=policy.shadow_for.total_seconds() > 0,
            actor=self.actor,
            started_at=now,
            since=now,
            changed_at=now,
            requested_by=self.actor,
            **facts,
        )
        return self.open(rollout)

    def _change(self, event: RolloutEvent, reason: str, *, only: tuple[RolloutState, ...]) -> Rollout:
        with self.audit.exclusively(self.use_case.name):
            rollout = self.settled() or self.current()
            if rollout.state is STATES[event] and event is not RolloutEvent.RESUMED:
                return rollout  # asked for twice
            if rollout.state not in only:
                raise RolloutError(
                    f"{self.use_case.name}: the rollout of version {rollout.challenger.version} is "
                    f"{rollout.state.words}, it cannot be {event}; `noria rollout status {self.use_case.name}`"
                )
            if event is RolloutEvent.ABORTED:
                return self.end(rollout, event, reason)
            return self.write(
                rollout, event, reason, since=self.clock.now() if event is RolloutEvent.RESUMED else rollout.since
            )


def _is_end(event: AuditEvent, version: str) -> bool:
    return event.version == version and event.action in (*_ENDED_BADLY, Action.ROLLOUT_COMPLETED)
