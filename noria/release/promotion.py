"""Promotion and roll-back: decided in pure functions, done as one compare-and-swap, written down before and after.

A move is three steps: an intent in the audit trail, the alias in the registry, the outcome in the trail. A process
that is killed between them leaves an intent without an outcome; the next call asks the registry and writes it down first.

A promotion needs a second person where the use case says `approval: manual`. A roll-back does not wait for one: it goes back
to what was approved before, and it is for emergencies. A person named as approver is another one than who asks, in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from noria.core.base.errors import PromotionConflictError
from noria.core.base.results import PromotionResult
from noria.core.lifecycle.audit_chain import champion_of, promotions_in_force
from noria.core.lifecycle.audit_event import MOVES, Action, AuditEntry, AuditEvent, approval
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import ModelVersion, Stage
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.ports.audit_trail import AuditTrail
from noria.ports.model_registry import ModelRegistry
from noria.release.approvals import require_approval

_OUTCOMES = {Action.PROMOTION_INTENDED: Action.PROMOTED, Action.ROLL_BACK_INTENDED: Action.ROLLED_BACK}


class PromotionOutcome(Enum):
    """Decision about a candidate."""

    PROMOTE = auto()
    ALREADY_CHAMPION = auto()
    REFUSE = auto()
    CONFLICT = auto()


@dataclass(frozen=True)
class PromotionDecision:
    """An outcome and its reason."""

    outcome: PromotionOutcome
    reason: str


def decide_promotion(
    request: PromotionRequest, registered: ModelVersion, champion: str, breaking_changes: Sequence[str] = ()
) -> PromotionDecision:
    """Decide whether a version may become champion.

    Args:
        request: what is asked.
        registered: the same version as the registry has it.
        champion: the version that serves now.
        breaking_changes: what apps could no longer send or read (`noria.core.model.compatibility`).
    """
    candidate = request.candidate
    if champion == candidate.version:
        return PromotionDecision(PromotionOutcome.ALREADY_CHAMPION, f"version {champion} is champion already")
    if why := _refusal(request, registered):
        return PromotionDecision(PromotionOutcome.REFUSE, why)
    if champion != candidate.champion:
        return PromotionDecision(
            PromotionOutcome.CONFLICT,
            f"version {candidate.version} was compared with champion {candidate.champion}, but {champion} serves now: "
            "train again, so that it is compared with that one",
        )
    if breaking_changes and not request.allow_breaking:
        why = (
            f"apps that version {champion} answers would not be answered any more: {'; '.join(breaking_changes)}. Inform "
            f"them, then `noria promote {registered.use_case} {candidate.version} --allow-breaking`"
        )
        return PromotionDecision(PromotionOutcome.REFUSE, why)
    return PromotionDecision(PromotionOutcome.PROMOTE, candidate.summary)


def _refusal(request: PromotionRequest, registered: ModelVersion) -> str:
    """Why a version may not serve, independent of the present champion; empty where it may."""
    candidate = request.candidate
    if registered.stage is Stage.RETIRED and not request.allow_retired:
        return (
            f"version {candidate.version} was champion before; what was replaced or rolled back does not return by itself: "
            f"`noria promote {registered.use_case} {candidate.version} --reason ...` brings it back"
        )
    if registered.bundle_digest != candidate.bundle_digest:
        return f"version {candidate.version} in the registry is not the bundle that was judged"
    if not candidate.passed or not registered.passed:
        return f"an enforced gate failed: {candidate.summary}"
    return ""


def promote(
    registry: ModelRegistry,
    audit: AuditTrail,
    use_case: UseCase,
    request: PromotionRequest,
    breaking_changes: Sequence[str] = (),
) -> PromotionResult:
    """Make a version champion if its gates passed and the champion it was compared with still serves.

    Args:
        registry: moves the alias.
        audit: keeps who, why and on which evidence.
        use_case: whose champion it becomes.
        request: what is asked, by whom.
        breaking_changes: what apps could no longer send or read.

    Raises:
        PromotionConflictError: the champion has moved since the gates were checked.
        ApprovalError: the use case asks for another person's approval; the trail says who tried.
    """
    version = request.candidate.version
    with audit.exclusively(use_case.name):
        _settle(registry, audit, use_case.name)
        champion = registry.champion(use_case.name).version
        registered = registry.version(use_case.name, version)
        decision = decide_promotion(request, registered, champion, breaking_changes)
        if decision.outcome is PromotionOutcome.CONFLICT:
            raise PromotionConflictError(f"{use_case.name}: {decision.reason}")
        if decision.outcome is PromotionOutcome.PROMOTE:
            entry = AuditEntry(
                use_case=use_case.name,
                action=Action.PROMOTION_INTENDED,
                version=version,
                previous=champion,
                as_of=registered.as_of,
                actor=request.actor,
                reason=request.why,
                evidence=_evidence(registered, summary=request.candidate.summary) | approval(request.approved_by),
            )
            require_approval(audit, use_case, entry)
            _move(registry, audit, entry)
        return PromotionResult(
            promoted=decision.outcome is not PromotionOutcome.REFUSE,
            version=version,
            previous=champion,
            reason=decision.reason,
        )


def roll_back(
    registry: ModelRegistry, audit: AuditTrail, use_case: UseCase, *, actor: str, reason: str, approved_by: str = ""
) -> PromotionResult:
    """Make the champion before this one champion again; version 0 where there is none.

    A call that finds an interrupted roll-back finishes that one and does nothing else, so that a retry goes back one step.

    Raises:
        ApprovalError: the person who is named as having agreed is the one who asks.
    """
    with audit.exclusively(use_case.name):
        settled = _settle(registry, audit, use_case.name)
        if settled is not None and settled.action is Action.ROLLED_BACK:
            return PromotionResult(promoted=True, version=settled.version, previous=settled.previous, reason=settled.reason)
        champion = registry.champion(use_case.name).version
        if champion == BASELINE_VERSION:
            why = "version 0, the baseline, serves: there is nothing to roll back to"
            return PromotionResult(promoted=False, version=champion, previous=champion, reason=why)
        in_force = promotions_in_force(audit.events(use_case.name))
        before = registry.version(use_case.name, in_force[-2].version if len(in_force) > 1 else BASELINE_VERSION)
        entry = AuditEntry(
            use_case=use_case.name,
            action=Action.ROLL_BACK_INTENDED,
            version=before.version,
            previous=champion,
            as_of=before.as_of,
            actor=actor,
            reason=reason,
            evidence=_evidence(before, summary="") | approval(approved_by),
        )
        if approved_by:
            require_approval(audit, use_case, entry)
        _move(registry, audit, entry)
        return PromotionResult(promoted=True, version=before.version, previous=champion, reason=reason)


def set_challenger(
    registry: ModelRegistry, audit: AuditTrail, use_case: UseCase, version: str, *, actor: str, reason: str
) -> None:
    """Make a candidate challenger, so that everybody sees which version waits; harmless for one that is or was champion."""
    with audit.exclusively(use_case.name):
        candidate = registry.version(use_case.name, version)
        if candidate.stage is Stage.CANDIDATE:
            registry.set_challenger(use_case.name, version)
        elif candidate.stage is not Stage.CHALLENGER or _last_said(audit, candidate) is Action.NOMINATED:
            return
        _note(registry, audit, Action.NOMINATED, candidate, actor=actor, reason=reason)


def reject(registry: ModelRegistry, audit: AuditTrail, use_case: UseCase, version: str, *, actor: str, reason: str) -> None:
    """Record that a person rejected a version, once for each nomination; it is challenger no longer."""
    with audit.exclusively(use_case.name):
        candidate = registry.version(use_case.name, version)
        if registry.alias_state(use_case.name).challenger == version:
            registry.set_challenger(use_case.name, BASELINE_VERSION)
        elif _last_said(audit, candidate) is Action.REJECTED:
            return
        _note(registry, audit, Action.REJECTED, candidate, actor=actor, reason=reason)


def _last_said(audit: AuditTrail, version: ModelVersion) -> Action | None:
    """Whether the version was nominated or rejected last, as the trail has it; None where another one was nominated since.

    A process killed between alias and event leaves the alias without the event: the next call writes it.
    """
    for event in reversed(audit.events(version.use_case)):
        if event.version == version.version and event.action in (Action.NOMINATED, Action.REJECTED):
            return event.action
        if event.action is Action.NOMINATED:
            return None
    return None


def _note(
    registry: ModelRegistry, audit: AuditTrail, action: Action, version: ModelVersion, *, actor: str, reason: str
) -> None:
    """Write down something that leaves the champion where it is."""
    audit.append(
        AuditEntry(
            use_case=version.use_case,
            action=action,
            version=version.version,
            previous=registry.champion(version.use_case).version,
            as_of=version.as_of,
            actor=actor,
            reason=reason,
            evidence={},
        )
    )


def _evidence(version: ModelVersion, **more: str) -> dict[str, str]:
    return {"bundle_digest": version.bundle_digest, "run_id": version.run_id, **more}


def _move(registry: ModelRegistry, audit: AuditTrail, intent: AuditEntry) -> None:
    """Say what is intended, move the alias, say that it was done."""
    audit.append(intent)
    registry.set_champion(intent.use_case, intent.version)
    audit.append(intent.model_copy(update={"action": _OUTCOMES[intent.action]}))


def _settle(registry: ModelRegistry, audit: AuditTrail, use_case: str) -> AuditEvent | None:
    """Bring the trail in line with the registry; returns the outcome of an interrupted move, if there was one."""
    events = audit.events(use_case)
    champion = registry.champion(use_case)
    settled: AuditEvent | None = None
    moves = [event for event in events if event.action in MOVES]
    if moves and moves[-1].action in _OUTCOMES:
        intent = moves[-1]
        action = _OUTCOMES[intent.action] if champion.version == intent.version else Action.ABANDONED
        settled = audit.append(intent.model_copy(update={"action": action}))
        events = (*events, settled)
    if champion_of(events) != champion.version:
        audit.append(
            AuditEntry(
                use_case=use_case,
                action=Action.FOUND_MOVED,
                version=champion.version,
                previous=champion_of(events),
                as_of=champion.as_of,
                actor="unknown",
                reason="the champion alias was moved in the registry, past Noria",
                evidence=_evidence(champion),
            )
        )
    return settled
