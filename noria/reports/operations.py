"""Operation of a version since it was made, as the warehouse has it: verdicts, requests served, money counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

_VERDICTS = sa.text(
    "select verdict, count(*) as times from ops.verdicts where use_case = :use_case and version = :version group by verdict"
)
_SERVED = sa.text(
    "select count(*) as requests, percentile_cont(0.99) within group (order by latency_ms) as p99_ms from ("
    "select latency_ms from ops.predictions where use_case = :use_case and version = :version "
    "and alias is distinct from 'shadow' order by requested_at desc limit 10000) as latest"
)
_LEDGER = sa.text(
    "select count(*) as intervals, coalesce(sum(value - cost), 0) as earned, coalesce(sum(baseline_value), 0) as rule, "
    "coalesce(sum(cost), 0) as cost from ops.ledger where use_case = :use_case and version = :version"
)


@dataclass(frozen=True)
class Operations:
    """Operation of a version.

    Attributes:
        verdicts: intervals monitored, by verdict (`stable`, `drift`, `quality_loss`, `too_few_rows`).
        requests: the latest answers over REST, at most 10,000.
        p99_ms: 99th percentile of their latency; None without any.
        ledger: intervals whose money was counted.
        earned: money of its decisions less running costs over those intervals.
        rule: money that the baseline's decisions would have made over the same intervals.
        cost: running costs over those intervals.
    """

    verdicts: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    p99_ms: float | None = None
    ledger: int = 0
    earned: float = 0.0
    rule: float = 0.0
    cost: float = 0.0

    @property
    def judged(self) -> int:
        """Intervals whose verdict says something."""
        return sum(times for verdict, times in self.verdicts.items() if verdict != "too_few_rows")


def read_operations(engine: sa.Engine, use_case: str, version: str) -> Operations:
    """Ask the warehouse about one version."""
    about: dict[str, Any] = {"use_case": use_case, "version": version}
    with engine.connect() as connection:
        verdicts = {row.verdict: row.times for row in connection.execute(_VERDICTS, about)}
        served = connection.execute(_SERVED, about).one()
        ledger = connection.execute(_LEDGER, about).one()
    return Operations(
        verdicts=verdicts,
        requests=served.requests,
        p99_ms=served.p99_ms,
        ledger=ledger.intervals,
        earned=ledger.earned,
        rule=ledger.rule,
        cost=ledger.cost,
    )
