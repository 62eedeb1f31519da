"""The port of what is remembered of past intervals: verdicts, the money ledger, and requests to retrain."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.retrain import PastVerdict
from noria.core.use_case import UseCase


@dataclass(frozen=True)
class StoredVerdict:
    """An assessment as it was recorded, and where its report lies."""

    assessment: DriftReport
    report: str


@dataclass(frozen=True)
class LedgerRow:
    """Money of one interval."""

    start: datetime
    version: str
    value: float
    baseline_value: float
    cost: float


@dataclass(frozen=True)
class RetrainRequest:
    """A request for training as of an instant, and the run that made it."""

    as_of: datetime
    run_id: str
    reason: str


class RetrainRequests(Protocol):
    """Verdicts and requests of one use case, while its retraining is decided."""

    def past_verdicts(self, since: datetime) -> tuple[PastVerdict, ...]:
        """Verdicts over the intervals that start at `since` or later, oldest first."""
        ...

    def all(self) -> tuple[RetrainRequest, ...]:
        """All requests, oldest first."""
        ...

    def add(self, as_of: datetime, *, reason: str, run_id: str, now: datetime) -> None:
        """Record a request; the caller has seen, exclusively, that there is none."""
        ...


class VerdictStore(Protocol):
    """Remembers what monitoring found."""

    def record(self, assessment: DriftReport, report: str, now: datetime) -> None:
        """Replace the interval's verdict and its line of the ledger, both or neither."""
        ...

    def read(self, use_case: UseCase, interval: Interval) -> StoredVerdict:
        """The recorded verdict over an interval.

        Raises:
            NoriaError: there is none, or an earlier release recorded it in another form.
        """
        ...

    def ledger(self, use_case: UseCase, up_to: datetime, lines: int) -> tuple[LedgerRow, ...]:
        """The last lines of the ledger that end at or before `up_to`, oldest first."""
        ...

    def requests(self, use_case: UseCase, *, exclusively: bool) -> AbstractContextManager[RetrainRequests]:
        """Requests of a use case; what is added is kept when the block ends, or not at all.

        Args:
            use_case: whose.
            exclusively: let one decision at a time be made.
        """
        ...
