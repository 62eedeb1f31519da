"""The closing tables of the demo: versions, quality, money, drift, e-mails."""

from __future__ import annotations

import re

from rich.console import Console
from rich.table import Table

from noria.bootstrap import Services
from noria.core.base.formatting import UNKNOWN, day, money
from noria.core.metrics.task_profile import profile_of
from noria.core.use_case import UseCase
from noria.core.use_case.metric_catalog import definition, figure
from noria.demo.business_app import AppTraffic
from noria.demo.story import StoryOutcome

_LEDGER = """
select
    l.start_at,
    l.version,
    l.value,
    l.baseline_value,
    l.cost,
    v.verdict,
    (v.details -> 'performance' -> 'metrics' ->> %(metric)s::text)::float as quality
from ops.ledger as l
join ops.verdicts as v using (use_case, start_at)
where l.use_case = %(use_case)s
order by l.start_at
"""


def show_summary(console: Console, services: Services, use_case: UseCase, outcome: StoryOutcome) -> None:
    """Print what the demo came to."""
    console.print()
    console.print(_versions(services, use_case))
    console.print(_intervals(services, use_case))
    console.print(f"[bold]Requests[/]  {_describe(outcome.traffic)}")
    if outcome.swap_seconds:
        swaps = ", ".join(f"{seconds:.1f} s" for seconds in outcome.swap_seconds)
        console.print(f"[bold]Swaps[/]     {swaps} after promotion")


def _describe(traffic: AppTraffic) -> str:
    versions = ", ".join(f"version {version}: {count:,}" for version, count in sorted(traffic.versions.items()))
    return (
        f"{traffic.answered:,} answered, {traffic.failed} failed ({versions}); "
        f"median {traffic.percentile(0.5):.1f} ms, 99th percentile {traffic.percentile(0.99):.1f} ms"
    )


def _versions(services: Services, use_case: UseCase) -> Table:
    table = _table("Versions, judged on the last slice of time before their date")
    for heading in ("version", "trained as of", "stage"):
        table.add_column(heading)
    metric = profile_of(use_case.task).headline
    for heading in (definition(metric).title, f"{use_case.business.currency} per 1,000"):
        table.add_column(heading, justify="right")
    for version in services.registry.versions(use_case.name):
        as_of = day(version.as_of) if version.as_of else "baseline"
        table.add_row(
            version.version,
            as_of,
            version.stage,
            *(figure(name, version.metrics.get(name)) for name in (metric, "value")),
        )
    return table


def _intervals(services: Services, use_case: UseCase) -> Table:
    table = _table(f"Intervals, in {use_case.business.currency}; gain: beyond the baseline, after costs")
    for heading in ("from", "version"):
        table.add_column(heading)
    metric = profile_of(use_case.task).headline
    for heading in (definition(metric).title, "value", "baseline", "cost", "gain"):
        table.add_column(heading, justify="right")
    for heading in ("verdict", "mail"):
        table.add_column(heading)
    mailed = _mailed(services, use_case)
    with services.warehouse.engine.connect() as connection:
        rows = connection.exec_driver_sql(_LEDGER, {"use_case": use_case.name, "metric": metric}).all()
    for row in rows:
        amounts = (row.value, row.baseline_value, row.cost, row.value - row.baseline_value - row.cost)
        table.add_row(
            day(row.start_at),
            row.version,
            figure(metric, row.quality),
            *map(money, amounts),
            row.verdict,
            "sent" if f"{row.start_at:%Y-%m-%d}" in mailed else UNKNOWN,
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))


def _mailed(services: Services, use_case: UseCase) -> frozenset[str]:
    """Days on which the intervals begin whose report an SMTP server has accepted."""
    query = "select key from ops.deliveries where use_case = %(use_case)s"
    with services.warehouse.engine.connect() as connection:
        keys = [row.key for row in connection.exec_driver_sql(query, {"use_case": use_case.name})]
    return frozenset(day for key in keys for day in re.findall(r"\d{4}-\d{2}-\d{2}", key)[:1])
