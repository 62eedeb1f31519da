"""Verdicts, the money ledger and retrain requests in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection, TextClause, text

from monitoring.assessment.results import DriftReport
from monitoring.store.verdict_store import LedgerRow, RetrainRequest, StoredVerdict
from noria.core.base.errors import NoriaError
from noria.core.base.interval import Interval
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import PastVerdict
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.io.advisory_locks import lock_transaction


class PostgresVerdictStore:
    """`monitoring.store.verdict_store.VerdictStore` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def record(self, assessment: DriftReport, report: str, now: datetime) -> None:
        """Replace the interval's verdict and its line of the ledger."""
        record(self._warehouse, assessment, report, now)

    def read(self, use_case: UseCase, interval: Interval) -> StoredVerdict:
        """The recorded verdict over an interval."""
        return read_verdict(self._warehouse, use_case, interval)

    def ledger(self, use_case: UseCase, up_to: datetime, lines: int) -> tuple[LedgerRow, ...]:
        """The last lines of the ledger."""
        return read_ledger(self._warehouse, use_case, up_to, lines)

    @contextmanager
    def requests(self, use_case: UseCase, *, exclusively: bool) -> Iterator[PostgresRetrainRequests]:
        """Verdicts and requests of a use case, in one transaction."""
        with self._warehouse.transaction() as connection:
            if exclusively:
                _lock_retraining(connection, use_case)
            yield PostgresRetrainRequests(connection, use_case)


@dataclass(frozen=True)
class PostgresRetrainRequests:
    """`monitoring.store.verdict_store.RetrainRequests` in a transaction."""

    connection: Connection
    use_case: UseCase

    def past_verdicts(self, since: datetime) -> tuple[PastVerdict, ...]:
        """Verdicts over the intervals that start at `since` or later."""
        return _past_verdicts(self.connection, self.use_case, since)

    def all(self) -> tuple[RetrainRequest, ...]:
        """All requests, oldest first."""
        return _requests(self.connection, self.use_case)

    def add(self, as_of: datetime, *, reason: str, run_id: str, now: datetime) -> None:
        """Record a request."""
        _request_training(self.connection, self.use_case, as_of, reason=reason, run_id=run_id, now=now)


def record(warehouse: Warehouse, assessment: DriftReport, report: str, now: datetime) -> None:
    """Replace the interval's verdict and its line of the ledger, both or neither."""
    money = assessment.money
    interval = {"use_case": assessment.use_case, "start_at": assessment.start, "end_at": assessment.end}
    verdict = {
        **interval,
        "version": assessment.version,
        "verdict": assessment.verdict.value,
        "details": assessment.model_dump_json(),
        "report": report,
        "judged_at": now,
    }
    line = {**interval, "version": assessment.version, **money.model_dump()}
    with warehouse.transaction() as connection:
        # Both rows are keyed by the interval's start; the verdict's row lock keeps two replays of it in order.
        connection.execute(_upsert("ops.verdicts", tuple(verdict)), verdict)
        connection.execute(_upsert("ops.ledger", tuple(line)), line)


def read_verdict(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> StoredVerdict:
    """The recorded verdict over an interval.

    Raises:
        NoriaError: there is none, or an earlier release recorded it in another form.
    """
    with warehouse.transaction() as connection:
        row = connection.execute(
            text(
                "select details, report from ops.verdicts where use_case = :use_case and start_at = :start and end_at = :end"
            ),
            {"use_case": use_case.name, "start": interval.start, "end": interval.end},
        ).one_or_none()
    if row is None:
        raise NoriaError(f"there is no verdict on {use_case.name} for {interval}: run its monitor step first")
    try:
        return StoredVerdict(DriftReport.model_validate(row.details), row.report)
    except ValidationError as error:
        raise NoriaError(
            f"the verdict on {use_case.name} for {interval} was recorded by another release: run its monitor step again"
        ) from error


def read_ledger(warehouse: Warehouse, use_case: UseCase, up_to: datetime, lines: int) -> tuple[LedgerRow, ...]:
    """The last lines of the ledger that end at or before `up_to`, oldest first."""
    with warehouse.transaction() as connection:
        rows = connection.execute(
            text(
                "select start_at, version, value, baseline_value, cost from ops.ledger "
                "where use_case = :use_case and end_at <= :up_to order by start_at desc limit :lines"
            ),
            {"use_case": use_case.name, "up_to": up_to, "lines": lines},
        ).all()
    return tuple(LedgerRow(row.start_at, row.version, row.value, row.baseline_value, row.cost) for row in reversed(rows))


def _lock_retraining(connection: Connection, use_case: UseCase) -> None:
    """Let one decision at a time be made about a use case; the end of the transaction gives it back."""
    lock_transaction(connection, f"retrain/{use_case.name}")


def _past_verdicts(connection: Connection, use_case: UseCase, since: datetime) -> tuple[PastVerdict, ...]:
    """Verdicts over the intervals that start at `since` or later, oldest first."""
    rows = connection.execute(
        text(
            "select start_at, end_at, version, verdict from ops.verdicts "
            "where use_case = :use_case and start_at >= :since order by start_at"
        ),
        {"use_case": use_case.name, "since": since},
    )
    return tuple(PastVerdict(Interval(row.start_at, row.end_at), row.version, Verdict(row.verdict)) for row in rows)


def _requests(connection: Connection, use_case: UseCase) -> tuple[RetrainRequest, ...]:
    """All retrain requests, oldest first."""
    rows = connection.execute(
        text("select as_of, run_id, reason from ops.retrain_requests where use_case = :use_case order by as_of"),
        {"use_case": use_case.name},
    )
    return tuple(RetrainRequest(row.as_of, row.run_id, row.reason) for row in rows)


def _request_training(
    connection: Connection, use_case: UseCase, as_of: datetime, *, reason: str, run_id: str, now: datetime
) -> None:
    """Record a request; the caller holds the lock and has seen that there is none."""
    connection.execute(
        text(
            "insert into ops.retrain_requests (use_case, as_of, reason, run_id, requested_at) "
            "values (:use_case, :as_of, :reason, :run_id, :now)"
        ),
        {"use_case": use_case.name, "as_of": as_of, "reason": reason, "run_id": run_id, "now": now},
    )


def _upsert(table: str, columns: Sequence[str]) -> TextClause:
    """Insert, or replace the row of the same use case and start."""
    values = ", ".join(f":{column}" for column in columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in ("use_case", "start_at"))
    return text(
        f"insert into {table} ({', '.join(columns)}) values ({values}) "
        f"on conflict (use_case, start_at) do update set {changes}"
    )
