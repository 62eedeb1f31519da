"""The closing table of the demo: versions, quality, money, drift, e-mails, and where to look."""

from __future__ import annotations

import httpx
from rich.console import Console
from rich.table import Table

from noria.bootstrap import Services
from noria.core.registry import ModelVersion
from noria.core.use_case import UseCase
from noria.demo.story import Outcome

_LEDGER = """
select l.start_at, l.version, l.decisions, l.value, l.baseline_value, l.cost, l.currency, v.verdict
from ops.ledger as l
join ops.verdicts as v using (use_case, start_at)
where l.use_case = %(use_case)s
order by l.start_at
"""


def show_summary(console: Console, services: Services, use_case: UseCase, outcome: Outcome) -> None:
    """Print what the demo came to."""
    console.print()
    console.print(_versions(services, use_case))
    console.print(_months(services, use_case))
    traffic = outcome.traffic
    versions = ", ".join(f"version {version}: {count:,}" for version, count in sorted(traffic.versions.items()))
    console.print(
        f"[bold]Requests[/]  {traffic.answered:,} answered, {traffic.failed} failed ({versions}); "
        f"median {traffic.percentile(0.5):.1f} ms, 99th percentile {traffic.percentile(0.99):.1f} ms"
    )
    if outcome.swap_seconds:
        console.print(
            f"[bold]Swaps[/]     {', '.join(f'{seconds:.1f} s' for seconds in outcome.swap_seconds)} after promotion"
        )


def _versions(services: Services, use_case: UseCase) -> Table:
    table = Table(title="Versions", title_justify="left", title_style="bold")
    for heading, justify in (("version", "left"), ("trained as of", "left"), ("stage", "left"), ("ROC AUC", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    table.add_column("value / 1,000", justify="right")
    currency = use_case.business.currency
    for version in services.registry.versions(use_case.name):
        as_of = f"{version.as_of:%Y-%m-%d}" if version.as_of else "the rule"
        table.add_row(version.version, as_of, version.stage, _metric(version, "roc_auc", ".4f"), _money(version, currency))
    return table


def _metric(version: ModelVersion, name: str, style: str) -> str:
    return format(version.metrics[name], style) if name in version.metrics else "–"


def _money(version: ModelVersion, currency: str) -> str:
    return f"{version.metrics['value']:,.0f} {currency}" if "value" in version.metrics else "–"


def _months(services: Services, use_case: UseCase) -> Table:
    table = Table(title="Months", title_justify="left", title_style="bold")
    table.add_column("month")
    table.add_column("version")
    for heading in ("decisions", "value", "rule's value", "cost", "gain"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    table.add_column("mail")
    mailed = _mailed_months(services, use_case)
    with services.warehouse.engine.connect() as connection:
        rows = connection.exec_driver_sql(_LEDGER, {"use_case": use_case.name}).all()
    for row in rows:
        gain = row.value - row.baseline_value - row.cost
        table.add_row(
            f"{row.start_at:%B %Y}",
            row.version,
            f"{row.decisions:,}",
            *(f"{amount:,.0f}" for amount in (row.value, row.baseline_value, row.cost, gain)),
            row.verdict,
            "sent" if f"{row.start_at:%Y-%m}" in mailed else "–",
        )
    return table


def _mailed_months(services: Services, use_case: UseCase) -> frozenset[str]:
    query = "select key from ops.deliveries where use_case = %(use_case)s"
    with services.warehouse.engine.connect() as connection:
        keys = [row.key for row in connection.exec_driver_sql(query, {"use_case": use_case.name})]
    return frozenset(month for key in keys for month in _months_in(key))


def _months_in(key: str) -> list[str]:
    import re

    return re.findall(r"\d{4}-\d{2}(?=-\d{2})", key)[:1]


def mail_count(mail_url: str) -> int:
    """Messages that the mail catcher holds; 0 where it cannot be reached."""
    try:
        return len(httpx.get(f"{mail_url}/api/messages", timeout=5.0).json())
    except (httpx.HTTPError, ValueError):
        return 0
