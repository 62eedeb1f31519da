"""Versions, promotion, roll-back and the audit trail from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import AllowBreaking, ApprovedBy, Reason, UseCaseName, actor, open_services, opened
from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from noria.core.lifecycle.audit_event import AuditEvent

_PANEL = "Versions"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=_PANEL)(versions)
    app.command(rich_help_panel=_PANEL)(promote)
    app.command("roll-back", rich_help_panel=_PANEL)(roll_back)
    app.command(rich_help_panel=_PANEL)(rehearse)
    audit = typer.Typer(help="Who promoted what, when and why: an append-only trail.", no_args_is_help=True)
    audit.command("list")(audit_list)
    audit.command("verify")(audit_verify)
    app.add_typer(audit, name="audit", rich_help_panel=_PANEL)


def versions(use_case: UseCaseName) -> None:
    """List a use case's versions: stage, training date, quality. Version 0 is the baseline."""
    from rich.table import Table

    from noria.core.base.formatting import day, money
    from noria.core.metrics.task_profile import profile_of
    from noria.core.use_case.metric_catalog import definition
    from noria.jobs import release

    services, chosen = opened(use_case)
    metric, currency = definition(profile_of(chosen.task).headline), chosen.business.currency
    columns = ("version", "stage", "as of", metric.title, "value per 1,000", "snapshot", "gates")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for version in release.versions(services, chosen):
        table.add_row(
            version.version,
            str(version.stage),
            day(version.as_of) if version.as_of else "baseline",
            metric.shown(version.metrics.get(metric.name)),
            money(version.metrics.get("value"), currency),
            version.snapshot[:12],
            {True: "passed", False: "failed", None: ""}[version.passed],
        )
    out.print(table)


def promote(
    use_case: UseCaseName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version of `noria versions`.")],
    reason: Reason = "",
    approved_by: ApprovedBy = "",
    allow_breaking: AllowBreaking = False,
) -> None:
    """Make a version champion, if its gates passed and the champion it was compared with still serves.

    Serving takes it up within seconds, without dropping a request. With a reason, a version that was rolled back returns.
    A use case with `approval: manual` needs another person's approval: `--approved-by`.
    """
    from noria.jobs import release

    services, chosen = opened(use_case)
    request = release.request_of(
        services, chosen, version, actor=actor(), reason=reason, approved_by=approved_by, allow_breaking=allow_breaking
    )
    result = release.promote(services, chosen, request)
    out.print(facts("promoted" if result.promoted else "not promoted", result.model_dump()))
    if not result.promoted:
        raise typer.Exit(1)


def roll_back(use_case: UseCaseName, reason: Reason, approved_by: ApprovedBy = "") -> None:
    """Make the champion before this one champion again; the baseline where there was none.

    Needs no approval, since it returns to what was approved before. A person named with --approved-by must be another one.

    Example: `noria roll-back flight_delays --reason "complaints from Newark"`
    """
    from noria.jobs import release

    services, chosen = opened(use_case)
    result = release.roll_back(services, chosen, actor=actor(), reason=reason, approved_by=approved_by)
    out.print(facts("rolled back" if result.promoted else "not rolled back", result.model_dump()))


def rehearse(use_case: UseCaseName) -> None:
    """Go through promotion and roll-back on a scratch model, so that a roll-back has been done before it is needed.

    Uses the newest trained version. What serves is not touched.
    """
    from noria.jobs import release

    services, chosen = opened(use_case)
    result = release.rehearse(services, chosen, actor=actor())
    out.print(facts("rehearsed", {"scratch model": result.scratch, "bundle of version": result.version}))
    for step in result.steps:
        say(step)


def audit_list(
    use_case: Annotated[str | None, typer.Argument(metavar="USE_CASE", help="Only this one's; all when left out.")] = None,
) -> None:
    """List who promoted, or rolled back, which version, when and why; oldest first."""
    from noria.jobs import release

    services = open_services()
    events = release.audit_events(services, services.catalog.get(use_case) if use_case else None)
    if not events:
        say(f"nothing has been promoted or rolled back{f' in {use_case}' if use_case else ''} yet")
    for event in events:
        out.print(_event_lines(event))


def _event_lines(event: AuditEvent) -> RenderableType:
    """The event on the first line; who and why below it, where they have the whole width."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from noria.core.lifecycle.audit_event import MOVES

    moved = f"{event.previous} → {event.version}" if event.action in MOVES else event.version
    what = f"{event.use_case}: {event.action.words}, version {moved}"
    first = Text.assemble(f"#{event.sequence}  {event.at:%Y-%m-%d %H:%M:%S}  ", (what, "bold"))
    below = [
        Padding(Text(f"{name}: {value}"), (0, 0, 0, 4))
        for name, value in (("by", event.actor), ("approved by", event.approved_by), ("why", event.reason))
        if value
    ]
    return Group(first, *below)


def audit_verify() -> None:
    """Recompute the trail's chain of hashes. Exit code 1, and which event, where it was altered."""
    from noria.jobs import release

    events = release.verify_audit(open_services())
    say(f"the audit trail is whole: {events} events", "green")
