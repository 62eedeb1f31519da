"""Verdicts in memory that keep the contract of the port; the contract suite runs over them and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from noria.core.base.errors import NoriaError
from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.retrain import PastVerdict
from noria.core.use_case import UseCase
from noria.ports.verdict_store import LedgerRow, RetrainRequest, StoredVerdict
from noria.testing.fakes.interruption import DatabaseRefusalError, Killed


class InMemoryVerdictStore:
    """`noria.ports.verdict_store.VerdictStore` without a database, for one thread.

    Attributes:
        killed_before_commit: the next write ends with `Killed` and keeps nothing, once.
    """

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, datetime], StoredVerdict] = {}
        self._requests: dict[str, tuple[RetrainRequest, ...]] = {}
        self.killed_before_commit = False

    def record(self, assessment: DriftReport, report: str, now: datetime) -> None:  # noqa: ARG002 - the port has it
        """Replace the interval's verdict and its line of the ledger."""
        self._end_here_if_killed()
        copy = DriftReport.model_validate_json(assessment.model_dump_json())
        self._verdicts[assessment.use_case, assessment.start] = StoredVerdict(copy, report)

    def read(self, use_case: UseCase, interval: Interval) -> StoredVerdict:
        """The recorded verdict over an interval."""
        found = self._verdicts.get((use_case.name, interval.start))
        if found is None or found.assessment.end != interval.end:
            raise NoriaError(f"there is no verdict on {use_case.name} for {interval}: run its monitor step first")
        return found

    def ledger(self, use_case: UseCase, up_to: datetime, lines: int) -> tuple[LedgerRow, ...]:
        """The last lines of the ledger."""
        found = [one for one in self._of(use_case) if one.end <= up_to]
        return tuple(
            LedgerRow(one.start, one.version, one.money.value, one.money.baseline_value, one.money.cost)
            for one in found[-lines:]
        )

    @contextmanager
    def requests(self, use_case: UseCase, *, exclusively: bool) -> Iterator[InMemoryRetrainRequests]:  # noqa: ARG002
        """Requests of a use case; what is added is kept when the block ends."""
        draft = InMemoryRetrainRequests(tuple(self._of(use_case)), list(self._requests.get(use_case.name, ())))
        yield draft
        if draft.all() != self._requests.get(use_case.name, ()):
            self._end_here_if_killed()
            self._requests[use_case.name] = draft.all()

    def _of(self, use_case: UseCase) -> list[DriftReport]:
        found = [stored.assessment for (name, _), stored in self._verdicts.items() if name == use_case.name]
        return sorted(found, key=lambda assessment: assessment.start)

    def _end_here_if_killed(self) -> None:
        if self.killed_before_commit:
            self.killed_before_commit = False
            raise Killed


@dataclass(frozen=True)
class InMemoryRetrainRequests:
    """`noria.ports.verdict_store.RetrainRequests` on a draft."""

    verdicts: tuple[DriftReport, ...]
    drafts: list[RetrainRequest]

    def past_verdicts(self, since: datetime) -> tuple[PastVerdict, ...]:
        """Verdicts over the intervals that start at `since` or later."""
        return tuple(
            PastVerdict(Interval(one.start, one.end), one.version, one.verdict)
            for one in self.verdicts
            if one.start >= since
        )

    def all(self) -> tuple[RetrainRequest, ...]:
        """All requests, oldest first."""
        return tuple(sorted(self.drafts, key=lambda request: request.as_of))

    def add(self, as_of: datetime, *, reason: str, run_id: str, now: datetime) -> None:  # noqa: ARG002 - the port has it
        """Record a request."""
        if any(request.as_of == as_of for request in self.drafts):
            raise DatabaseRefusalError(f"there is a request as of {as_of}")
        self.drafts.append(RetrainRequest(as_of, run_id, reason))
