"""Verdicts, the money ledger and retrain requests in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection, TextClause, text

from noria.core.base.errors import NoriaError
from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import PastVerdict
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.io.advisory_locks import lock_transaction
from noria.ports.verdict_store import LedgerRow, RetrainRequest, StoredVerdict


class PostgresVerdictStore:
    """`noria.ports.verdict_store.VerdictStore` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def record(self, assessment: DriftReport, report: str, now: datetime) -> None:
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
        with self._warehouse.transaction() as connection:
            # Both rows are keyed by the interval's start; the verdict's row lock keeps two replays of it in order.
            connection.execute(_upsert("ops.verdicts", tuple(verdict)), verdict)
            connection.execute(_upsert("ops.ledger", tuple(line)), line)

    def read(self, use_case: UseCase, interval: Interval) -> StoredVerdict:
        """The recorded verdict over an interval.

        Raises:
            NoriaError: there is none, or an earlier release recorded it in another form.
        """
        with self._warehouse.transaction() as connection:
            row = connection.execute(
                text(
                    "select details, report from ops.verdicts "
                    "where use_case = :use_case and start_at = :start and end_at = :end"
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

    def ledger(self, use_case: UseCase, up_to: datetime, lines: int) -> tuple[LedgerRow, ...]:
        """The last lines of the ledger that end at or before `up_to`, oldest first."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(
                text(
                    "select start_at, version, value, baseline_value, cost from ops.ledger "
                    "where use_case = :use_case and end_at <= :up_to order by start_at desc limit :lines"
                ),
                {"use_case": use_case.name, "up_to": up_to, "lines": lines},
            ).all()
        return tuple(LedgerRow(row.start_at, row.version, row.value, row.baseline_value, row.cost) for row in reversed(rows))

    @contextmanager
    def requests(self, use_case: UseCase, *, exclusively: bool) -> Iterator[PostgresRetrainRequests]:
        """Verdicts and requests of a use case, in one transaction, whose end gives the lock back."""
        with self._warehouse.transaction() as connection:
            if exclusively:
                lock_transaction(connection, f"retrain/{use_case.name}")
            yield PostgresRetrainRequests(connection, use_case.name)


@dataclass(frozen=True)
class PostgresRetrainRequests:
    """`noria.ports.verdict_store.RetrainRequests` in a transaction."""

    connection: Connection
    use_case: str

    def past_verdicts(self, since: datetime) -> tuple[PastVerdict, ...]:
        """Verdicts over the intervals that start at `since` or later, oldest first."""
        rows = self.connection.execute(
            text(
                "select start_at, end_at, version, verdict from ops.verdicts "
                "where use_case = :use_case and start_at >= :since order by start_at"
            ),
            {"use_case": self.use_case, "since": since},
        )
        return tuple(PastVerdict(Interval(row.start_at, row.end_at), row.version, Verdict(row.verdict)) for row in rows)

    def all(self) -> tuple[RetrainRequest, ...]:
        """All requests, oldest first."""
        rows = self.connection.execute(
            text("select as_of, run_id, reason from ops.retrain_requests where use_case = :use_case order by as_of"),
            {"use_case": self.use_case},
        )
        return tuple(RetrainRequest(row.as_of, row.run_id, row.reason) for row in rows)

    def add(self, as_of: datetime, *, reason: str, run_id: str, now: datetime) -> None:
        """Record a request; the caller holds the lock and has seen that there is none."""
        self.connection.execute(
            text(
                "insert into ops.retrain_requests (use_case, as_of, reason, run_id, requested_at) "
                "values (:use_case, :as_of, :reason, :run_id, :now)"
            ),
            {"use_case": self.use_case, "as_of": as_of, "reason": reason, "run_id": run_id, "now": now},
        )


def _upsert(table: str, columns: Sequence[str]) -> TextClause:
    """Insert, or replace the row of the same use case and start."""
    values = ", ".join(f":{column}" for column in columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in ("use_case", "start_at"))
    return text(
        f"insert into {table} ({', '.join(columns)}) values ({values}) "
        f"on conflict (use_case, start_at) do update set {changes}"
    )
