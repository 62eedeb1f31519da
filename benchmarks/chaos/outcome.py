"""The outcome of one fault under load, as a row of the table, and the guarantees that it broke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.app_load import BROKEN, RequestRecord


@dataclass(frozen=True)
class StoredPredictions:
    """Acknowledged predictions compared with the table.

    Attributes:
        acknowledged: predictions that an app received.
        lost: of those, not in ops.predictions.
        twice: requests with more predictions there than they had instances.
    """

    acknowledged: int
    lost: int
    twice: int


@dataclass(frozen=True)
class FaultOutcome:
    """One kind of fault.

    Attributes:
        fault: what was done, and how often.
        requests: all that were sent during the fault.
        stored: the predictions in the table.
        seconds: until recovery, for each repetition.
        until: the event that ends these seconds.
        may_break: whether requests on a killed worker's connections may be lost.
        may_refuse: whether 503 is right.
        broken: other failures, in words.
    """

    fault: str
    requests: Sequence[RequestRecord]
    stored: StoredPredictions
    seconds: Sequence[float]
    until: str
    may_break: bool = False
    may_refuse: bool = False
    broken: tuple[str, ...] = field(default=())

    @property
    def in_flight(self) -> int:
        """Requests whose connection was lost before they were answered."""
        return sum(request.status == BROKEN for request in self.requests)

    @property
    def refused(self) -> int:
        """Requests answered with 503, which says when to retry."""
        return sum(request.status == 503 for request in self.requests)

    @property
    def failed(self) -> int:
        """Requests not answered with 200, without those that may be refused or lost."""
        bad = sum(request.status != 200 for request in self.requests)
        return bad - (self.refused if self.may_refuse else 0) - (self.in_flight if self.may_break else 0)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Every failure, in words."""
        found = list(self.broken)
        if self.failed:
            statuses = sorted({request.status for request in self.requests} - {200})
            found.append(f"{self.failed} requests failed (status {', '.join(map(str, statuses))})")
        if self.stored.lost:
            found.append(f"{self.stored.lost} acknowledged predictions are not stored")
        if self.stored.twice:
            found.append(f"{self.stored.twice} requests are stored twice")
        return tuple(found)


def failed(fault: str, error: Exception) -> FaultOutcome:
    """The outcome of a fault whose trial raised an error."""
    return FaultOutcome(fault, (), StoredPredictions(0, 0, 0), (), "-", broken=(f"{type(error).__name__}: {error}",))


_HEAD = ("requests", "failed", "refused", "in flight", "slowest ms", "acknowl.", "lost", "twice", "median s", "longest s")


def print_head() -> None:
    """The head of the table."""
    print(f"{'fault':<58}" + "".join(f"{name:>11}" for name in _HEAD) + "  seconds until", flush=True)


def print_row(outcome: FaultOutcome) -> None:
    """One row of the table, and under it the failures."""
    print(f"{outcome.fault:<58}" + "".join(f"{cell:>11}" for cell in _cells(outcome)) + f"  {outcome.until}", flush=True)
    for complaint in outcome.complaints:
        print(f"    BROKEN: {complaint}", flush=True)


def as_markdown(outcomes: Sequence[FaultOutcome]) -> str:
    """The same table, for the documentation."""
    lines = [f"| fault | {' | '.join(_HEAD)} | seconds until |", f"| --- |{' ---: |' * len(_HEAD)} --- |"]
    lines += [f"| {each.fault} | {' | '.join(_cells(each))} | {each.until} |" for each in outcomes]
    return "\n".join(lines)


def _cells(outcome: FaultOutcome) -> tuple[str, ...]:
    slowest = max((request.got - request.sent for request in outcome.requests), default=0.0)
    counts = (len(outcome.requests), outcome.failed, outcome.refused, outcome.in_flight)
    stored = (outcome.stored.acknowledged, outcome.stored.lost, outcome.stored.twice)
    ordered = sorted(outcome.seconds)
    times = (f"{ordered[len(ordered) // 2]:.2f}", f"{ordered[-1]:.2f}") if ordered else ("-", "-")
    return (*(f"{count:,}" for count in counts), f"{slowest * 1000:,.0f}", *(f"{count:,}" for count in stored), *times)
