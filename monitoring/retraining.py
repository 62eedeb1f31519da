"""Decides, records and previews retraining. Decisions about one use case are made one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from noria.core.base.interval import Interval
from noria.core.base.results import RetrainResult
from noria.core.lifecycle.retrain import PastVerdict, RetrainDecision, RetrainEvidence, decide_retrain
from noria.core.use_case import UseCase
from noria.ports.verdict_store import RetrainRequests, VerdictStore

_INSTANT = timedelta(microseconds=1)
VersionAt = Callable[[datetime], str]
"""The version in force from an instant on."""
LabelsSince = Callable[[str, datetime], int]
"""Labels that have arrived by an instant and that a version was not trained on."""


@dataclass(frozen=True)
class Retraining:
    """Decides about one use case."""

    verdicts: VerdictStore
    use_case: UseCase
    version_at: VersionAt
    labels_since: LabelsSince

    def decide(self, interval: Interval, *, run_id: str, now: datetime) -> RetrainResult:
        """Decide on the verdict over `interval`, and record a request if there is to be one.

        Intervals may be judged out of order (a backfill runs several at once), so a later verdict may have been waiting
        for this one to make its case: it is looked at too, and the request is then as of that later interval's end.

        A run that asks again (a retried task) gets the answer it got before; everybody else learns who asked.
        """
        with self.verdicts.requests(self.use_case, exclusively=True) as requests:
            if earlier := self._asked_before(requests, interval, run_id):
                return earlier
            decision = self._first_case(requests, interval)
            if decision.as_of is not None:
                requests.add(decision.as_of, reason=decision.reason, run_id=run_id, now=now)
        as_of = decision.as_of or interval.end
        return RetrainResult(retrain=decision.retrain, as_of=as_of.isoformat(), reason=decision.reason)

    def preview(self, interval: Interval) -> RetrainDecision:
        """Decision about this interval as it would be made now, or as it was made if a request is there."""
        with self.verdicts.requests(self.use_case, exclusively=False) as requests:
            ends = {judged.end for judged in self._judged_from(requests, interval)}
            for request in requests.all():
                if request.as_of in ends:
                    return RetrainDecision(True, request.reason, request.as_of)
            return self._first_case(requests, interval)

    def _first_case(self, requests: RetrainRequests, interval: Interval) -> RetrainDecision:
        """The decision about the interval, or about the first later one that had been waiting for it."""
        decisions = [self._consider(requests, judged) for judged in self._judged_from(requests, interval)]
        return next((decision for decision in decisions if decision.retrain), decisions[0])

    def _asked_before(self, requests: RetrainRequests, interval: Interval, run_id: str) -> RetrainResult | None:
        for request in requests.all():
            if request.run_id == run_id and request.as_of >= interval.end:
                return RetrainResult(retrain=True, as_of=request.as_of.isoformat(), reason=request.reason)
            if request.as_of == interval.end:
                reason = f"already requested by {request.run_id}: {request.reason}"
                return RetrainResult(retrain=False, as_of=request.as_of.isoformat(), reason=reason)
        return None

    def _judged_from(self, requests: RetrainRequests, interval: Interval) -> list[Interval]:
        """This interval and those after it that have a verdict, up to the first hole, at most a window of them."""
        chain = [interval]
        for past in requests.past_verdicts(interval.end):
            if past.interval.start != chain[-1].end or len(chain) == self.use_case.monitoring.retrain.window:
                break
            chain.append(past.interval)
        return chain

    def _consider(self, requests: RetrainRequests, interval: Interval) -> RetrainDecision:
        policy = self.use_case.monitoring.retrain
        verdicts = self._window(requests, interval)
        in_force = self.version_at(interval.end)
        evidence = RetrainEvidence(
            verdicts=verdicts,
            in_force=in_force,
            requests=[request.as_of for request in requests.all()],
            new_labels=self.labels_since(in_force, interval.end),
        )
        return decide_retrain(policy, interval, evidence)

    def _window(self, requests: RetrainRequests, interval: Interval) -> tuple[PastVerdict, ...]:
        cadence, since = self.use_case.schedule.data, interval.start
        for _ in range(self.use_case.monitoring.retrain.window - 1):
            since = cadence.floor(since - _INSTANT)
        return tuple(past for past in requests.past_verdicts(since) if past.interval.end <= interval.end)
