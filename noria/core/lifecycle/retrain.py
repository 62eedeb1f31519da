"""Whether verdicts wake training: k of the last n, a cooldown, and enough new labels, all in event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from noria.core.base.formatting import day, moment
from noria.core.base.interval import Interval
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.use_case import RetrainPolicy, format_duration


@dataclass(frozen=True)
class PastVerdict:
    """Verdict of monitoring about one interval."""

    interval: Interval
    version: str
    verdict: Verdict


@dataclass(frozen=True)
class RetrainEvidence:
    """Everything the decision looks at.

    Attributes:
        verdicts: the last n verdicts up to and including the interval, oldest first; may have holes.
        in_force: the version that serves from the interval's end.
        requests: as-of dates of all requests so far.
        new_labels: labels that have arrived since the version in force was trained.
    """

    verdicts: Sequence[PastVerdict]
    in_force: str
    requests: Sequence[datetime]
    new_labels: int


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train again, why, and as of when."""

    retrain: bool
    reason: str
    as_of: datetime | None = None
    """None where nothing is asked for."""


def decide_retrain(policy: RetrainPolicy, interval: Interval, evidence: RetrainEvidence) -> RetrainDecision:
    """Decide whether the verdict over `interval` wakes training as of the interval's end.

    Only verdicts about the version in force count: those about a model that has been replaced say nothing of its
    successor. An interval without a verdict breaks the chain, so that a hole is never mistaken for good news or bad.
    """
    counted = _unbroken(evidence.verdicts, interval)[-policy.window :]
    if not counted:
        return RetrainDecision(False, f"there is no verdict for {interval}: monitor it first")
    if (judged := counted[-1].version) != evidence.in_force:
        return RetrainDecision(
            False, f"the verdict is about version {judged}, which version {evidence.in_force} has replaced"
        )
    alarms = sum(past.verdict.is_alarm for past in counted if past.version == evidence.in_force)
    if not counted[-1].verdict.is_alarm:
        return RetrainDecision(False, f"the verdict is {counted[-1].verdict.words}; nothing to mend")
    if alarms < policy.needed:
        return RetrainDecision(
            False, f"{alarms} of the last {policy.window} verdicts on version {judged} ask for it; {policy.needed} needed"
        )
    return _hold_back(policy, interval.end, evidence) or RetrainDecision(
        True, f"{alarms} of the last {policy.window} verdicts on version {judged} say drift or loss of quality", interval.end
    )


def _hold_back(policy: RetrainPolicy, as_of: datetime, evidence: RetrainEvidence) -> RetrainDecision | None:
    """Reason that keeps a justified request from being made; empty if there is none."""
    if later := [request for request in evidence.requests if request >= as_of]:
        return RetrainDecision(False, f"training was already requested as of {day(max(later))}")
    if evidence.requests and as_of - max(evidence.requests) < policy.cooldown:
        until = max(evidence.requests) + policy.cooldown
        return RetrainDecision(
            False, f"cooldown of {format_duration(policy.cooldown)} until {moment(until)} since the last request"
        )
    if evidence.new_labels < policy.min_new_labels:
        return RetrainDecision(
            False, f"{evidence.new_labels:,} new labels since version {evidence.in_force}; {policy.min_new_labels:,} needed"
        )
    return None


def _unbroken(verdicts: Sequence[PastVerdict], interval: Interval) -> list[PastVerdict]:
    """The verdicts that reach back from `interval` without a hole, oldest first."""
    chain: list[PastVerdict] = []
    wanted = interval.end
    for past in sorted(verdicts, key=lambda past: past.interval.start, reverse=True):
        if past.interval.end != wanted:
            break
        chain.append(past)
        wanted = past.interval.start
    return chain[::-1]
