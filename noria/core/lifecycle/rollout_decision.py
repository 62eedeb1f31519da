"""Next step of a rollout: decided from its document and what is known now, and done elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from noria.core.lifecycle.rollout import GuardReport, Rollout, RolloutState
from noria.core.use_case.fields import format_duration
from noria.core.use_case.rollout import RolloutMode


class RolloutAction(Enum):
    """Step to take."""

    WAIT = auto()
    STEP = auto()
    FINISH = auto()
    COMPLETE = auto()
    """The challenger is champion already."""
    KEEP_CHAMPION = auto()
    """Neither is better: it ends, and nothing changes."""
    ROLL_BACK = auto()
    ABORT = auto()


@dataclass(frozen=True)
class RolloutDecision:
    """A decision and its reason."""

    next: RolloutAction
    reason: str


@dataclass(frozen=True)
class RolloutComparison:
    """Verdict of the judge, in words; an empty text says no.

    Attributes:
        worse: why the challenger must go.
        better: why it is surely worth more.
        summary: what was compared.
    """

    worse: str = ""
    better: str = ""
    summary: str = ""


@dataclass(frozen=True)
class RolloutContext:
    """Facts that a decision is made from.

    Attributes:
        champion: the version that the registry calls champion now.
        guard: what serving reported last, in any rollout; None if it never did.
        comparison: what the judge says.
        rows: rows that the challenger scored since the present step began.
        idle: whether no request has come for as long as the rollout's `idle` says.
        now: the instant.
    """

    champion: str
    guard: GuardReport | None
    comparison: RolloutComparison
    rows: int
    idle: bool
    now: datetime


def decide_rollout(rollout: Rollout, context: RolloutContext) -> RolloutDecision:
    """Next step of a rollout; asked again and again, it acts once."""
    if not rollout.is_live:
        return RolloutDecision(RolloutAction.WAIT, rollout.reason)
    if (ended := _ended_from_outside(rollout, context)) is not None:
        return ended
    if rollout.state is RolloutState.FINISHING:  # its promotion was interrupted, or is about to be made
        return RolloutDecision(RolloutAction.FINISH, rollout.reason)
    if rollout.state is RolloutState.PAUSED:
        return RolloutDecision(RolloutAction.WAIT, f"paused: {rollout.reason}")
    return _turn_of_running(rollout, context)


def _ended_from_outside(rollout: Rollout, context: RolloutContext) -> RolloutDecision | None:
    """Another champion, or serving's guard."""
    if context.champion == rollout.challenger.version:
        why = rollout.reason if rollout.state is RolloutState.FINISHING else "it was promoted meanwhile"
        return RolloutDecision(RolloutAction.COMPLETE, why)
    if context.guard is not None and context.guard.rollout == rollout.id:
        return RolloutDecision(RolloutAction.ROLL_BACK, f"serving rolled it back: {context.guard.reason}")
    if context.champion != rollout.champion.version:
        return RolloutDecision(RolloutAction.ABORT, f"version {context.champion} became champion meanwhile")
    return None


def _turn_of_running(rollout: Rollout, context: RolloutContext) -> RolloutDecision:
    if context.comparison.worse:
        return RolloutDecision(RolloutAction.ROLL_BACK, context.comparison.worse)
    if rollout.policy.mode is RolloutMode.AB and not rollout.shadow:
        return _turn_of_ab(rollout, context)
    return _turn_of_canary(rollout, context)


def _turn_of_canary(rollout: Rollout, context: RolloutContext) -> RolloutDecision:
    policy, waited = rollout.policy, context.now - rollout.since
    bake = policy.shadow_for if rollout.shadow else policy.bake
    least = policy.guard.min_requests
    if waited >= bake and (context.rows >= least or context.idle):
        what = context.comparison.summary or f"{context.rows:,} rows without harm"
        if context.rows < least and policy.idle:
            what = f"nobody asked for {format_duration(policy.idle)}; {what}"
        return RolloutDecision(RolloutAction.FINISH if rollout.is_last_step else RolloutAction.STEP, what)
    if context.now - rollout.started_at >= policy.stop.at_most:
        return RolloutDecision(
            RolloutAction.ABORT, f"its time is over: it scored {context.rows:,} of {least:,} rows that the next step needs"
        )
    if waited < bake:
        left = timedelta(seconds=math.ceil((bake - waited).total_seconds()))
        return RolloutDecision(RolloutAction.WAIT, f"the time of this step: {left} left")
    return RolloutDecision(RolloutAction.WAIT, f"more requests: it scored {context.rows:,} of {least:,} rows in this step")


def _turn_of_ab(rollout: Rollout, context: RolloutContext) -> RolloutDecision:
    if context.comparison.better:
        return RolloutDecision(RolloutAction.FINISH, context.comparison.better)
    if context.now - rollout.started_at >= rollout.policy.stop.at_most:
        return RolloutDecision(
            RolloutAction.KEEP_CHAMPION, f"no difference was shown: {context.comparison.summary or 'no label came'}"
        )
    return RolloutDecision(RolloutAction.WAIT, f"a sure difference: {context.comparison.summary or 'no label has come yet'}")
