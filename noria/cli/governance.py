"""Versions, promotion, roll-back and the audit trail from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import Reason, UseCaseName, actor, opened
from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from noria.governance.audit import AuditEvent

_PANEL = "Versions"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=_PANEL)(versions)
    app.command(rich_help_panel=_PANEL)(promote)
    app.command("roll-back", rich_help_panel=_PANEL)(roll_back)
    audit = typer.Typer(help="Who promoted what, when and why: an append-only trail.", no_args_is_help=True)
    audit.command("list")(audit_list)
    audit.command("verify")(audit_verify)
    app.add_typer(audit, name="audit", rich_help_panel=_PANEL)


def versions(use_case: UseCaseName) -> None:
    """List a use case's versions: stage, training date, quality. Version 0 is the rule."""
    from rich.table import Table

    services, chosen = opened(use_case)
    columns = ("version", "stage", "as of", "ROC AUC", "value per 1,000", "snapshot", "gates")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for version in services.registry.versions(chosen.name):
        table.add_row(
            version.version,
            str(version.stage),
            f"{version.as_of:%Y-%m-%d}" if version.as_of else "the rule",
            _figure(version.metrics.get("roc_auc"), "{:.4f}"),
            _figure(version.metrics.get("value"), "{:,.0f} " + chosen.business.currency),
            version.snapshot[:12],
            {"true": "passed", "false": "failed"}.get(version.tags.get("passed", ""), ""),
        )
    out.print(table)


def promote(
    use_case: UseCaseName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version of `noria versions`.")],
    reason: Reason = "",
) -> None:
    """Make a version champion, if its gates passed and the champion it was judged against still serves.

    Serving takes it up within seconds, without dropping a request. With a reason, a version that was rolled back returns.
    """
    from noria import jobs
    from noria.core.results import RegisteredModel

    services, chosen = opened(use_case)
    found = services.registry.version(chosen.name, version)
    candidate = RegisteredModel(
        version=found.version,
        bundle_digest=found.bundle_digest,
        run_id=found.run_id,
        passed=found.tags.get("passed") == "true",
        summary=found.tags.get("summary", ""),
        champion=found.tags.get("champion", "0"),
    )
    result = jobs.promote(services, chosen, candidate, actor=actor(), reason=reason, returning=bool(reason))
    out.print(facts("promoted" if result.promoted else "not promoted", result.model_dump()))
    if not result.promoted:
        raise typer.Exit(1)


def roll_back(use_case: UseCaseName, reason: Reason) -> None:
    """Make the champion before this one champion again; the rule where there was none.

    Example: `noria roll-back flight_delays --reason "complaints from Newark"`
    """
    from noria import jobs

    services, chosen = opened(use_case)
    result = jobs.roll_back(services, chosen, actor=actor(), reason=reason)
    out.print(facts("rolled back", result.model_dump()))


def audit_list(
    use_case: Annotated[str | None, typer.Argument(metavar="USE_CASE", help="Only this one's; all when left out.")] = None,
) -> None:
    """List who promoted, or rolled back, which version, when and why; oldest first."""
    from noria.bootstrap import bootstrap

    services = bootstrap()
    chosen = services.catalog.get(use_case).name if use_case else None
    events = services.audit.events(chosen)
    if not events:
        say(f"nothing has been promoted or rolled back{f' in {chosen}' if chosen else ''} yet")
    for event in events:
        out.print(_told(event))


def _told(event: AuditEvent) -> RenderableType:
    """What happened on the first line; who and why below it, where they have the whole width."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    what = f"{event.use_case}: {event.action.replace('_', ' ')}, version {event.previous} → {event.version}"
    first = Text.assemble(f"#{event.sequence}  {event.at:%Y-%m-%d %H:%M:%S}  ", (what, "bold"))
    below = [
        Padding(Text(f"{name}: {value}"), (0, 0, 0, 4))
        for name, value in (("by", event.actor), ("why", event.reason))
        if value
    ]
    return Group(first, *below)


def audit_verify() -> None:
    """Recompute the trail's chain of hashes. Exit code 1, and which event, where it was altered."""
    from noria.bootstrap import bootstrap

    events = bootstrap().audit.verify()
    say(f"the audit trail is whole: {events} events", "green")


def _figure(value: float | None, shape: str) -> str:
    return "" if value is None else shape.format(value)
