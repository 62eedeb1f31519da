"""What came of a fault under load, as a row of the table, and which promise was broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.chaos_parts.load import BROKEN, Answer


@dataclass(frozen=True)
class Stored:
    """Acknowledged predictions against the table.

    Attributes:
        acknowledged: predictions that an app was told.
        lost: of those, not in ops.predictions.
        twice: requests with more predictions there than they had instances.
    """

    acknowledged: int
    lost: int
    twice: int


@dataclass(frozen=True)
class Outcome:
    """One kind of fault.

    Attributes:
        fault: what was done, and how often.
        answers: to all requests that were sent meanwhile.
        stored: what became of the predictions.
        seconds: until all was well again, each time.
        what: that these seconds measure.
        may_break: whether requests on a killed worker's connections may be lost.
        may_refuse: whether 503 is right.
        broken: what else was not as it should be.
    """

    fault: str
    answers: Sequence[Answer]
    stored: Stored
    seconds: Sequence[float]
    what: str
    may_break: bool = False
    may_refuse: bool = False
    broken: tuple[str, ...] = field(default=())

    @property
    def in_flight(self) -> int:
        """Requests whose connection was lost before they were answered."""
        return sum(answer.status == BROKEN for answer in self.answers)

    @property
    def refused(self) -> int:
        """Requests answered with 503, which says when to ask again."""
        return sum(answer.status == 503 for answer in self.answers)

    @property
    def failed(self) -> int:
        """All that were not answered with 200, but those that may be refused or lost."""
        bad = sum(answer.status != 200 for answer in self.answers)
        return bad - (self.refused if self.may_refuse else 0) - (self.in_flight if self.may_break else 0)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Every promise that was not kept, in words."""
        found = list(self.broken)
        if self.failed:
            statuses = sorted({answer.status for answer in self.answers} - {200})
            found.append(f"{self.failed} requests failed (status {', '.join(map(str, statuses))})")
        if self.stored.lost:
            found.append(f"{self.stored.lost} acknowledged predictions are not stored")
        if self.stored.twice:
            found.append(f"{self.stored.twice} requests are stored twice")
        return tuple(found)


def failed(fault: str, error: Exception) -> Outcome:
    """A fault that could not be tried to its end."""
    return Outcome(fault, (), Stored(0, 0, 0), (), "-", broken=(f"{type(error).__name__}: {error}",))


_HEAD = ("requests", "failed", "refused", "in flight", "slowest ms", "told", "lost", "twice", "median s", "longest s")


def print_head() -> None:
    """The head of the table."""
    print(f"{'fault':<58}" + "".join(f"{name:>11}" for name in _HEAD) + "  seconds until", flush=True)


def print_row(outcome: Outcome) -> None:
    """One row of the table, and under it whatever was not as promised."""
    print(f"{outcome.fault:<58}" + "".join(f"{cell:>11}" for cell in _cells(outcome)) + f"  {outcome.what}", flush=True)
    for complaint in outcome.complaints:
        print(f"    NOT KEPT: {complaint}", flush=True)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """The same table, for the documentation."""
    lines = [f"| fault | {' | '.join(_HEAD)} | seconds until |", f"| --- |{' ---: |' * len(_HEAD)} --- |"]
    lines += [f"| {each.fault} | {' | '.join(_cells(each))} | {each.what} |" for each in outcomes]
    return "\n".join(lines)


def _cells(outcome: Outcome) -> tuple[str, ...]:
    slowest = max((answer.got - answer.sent for answer in outcome.answers), default=0.0)
    counts = (len(outcome.answers), outcome.failed, outcome.refused, outcome.in_flight)
    stored = (outcome.stored.acknowledged, outcome.stored.lost, outcome.stored.twice)
    ordered = sorted(outcome.seconds)
    times = (f"{ordered[len(ordered) // 2]:.2f}", f"{ordered[-1]:.2f}") if ordered else ("-", "-")
    return (*(f"{count:,}" for count in counts), f"{slowest * 1000:,.0f}", *(f"{count:,}" for count in stored), *times)
