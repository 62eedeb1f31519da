"""Versions, promotion, roll-back and the audit trail from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import Reason, UseCaseName, actor, open_services, opened
from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from noria.core.lifecycle.audit_event import AuditEvent
    from noria.core.lifecycle.check_line import ChecklistItem

_PANEL = "Versions"
ApprovedBy = Annotated[str, typer.Option("--approved-by", metavar="NAME", help="Who else agreed; kept in the audit trail.")]
Version = Annotated[
    str | None,
    typer.Argument(metavar="VERSION", help="Default: the champion, or the newest version while the baseline serves."),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=_PANEL)(versions)
    app.command(rich_help_panel=_PANEL)(promote)
    app.command("roll-back", rich_help_panel=_PANEL)(roll_back)
    for command in (rehearse, card, checklist):
        app.command(rich_help_panel=_PANEL)(command)
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

    services, chosen = opened(use_case)
    metric, currency = definition(profile_of(chosen.task).headline), chosen.business.currency
    columns = ("version", "stage", "as of", metric.title, "value per 1,000", "snapshot", "gates")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for version in services.registry.versions(chosen.name):
        table.add_row(
            version.version,
            str(version.stage),
            day(version.as_of) if version.as_of else "the baseline",
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
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Even if requests that apps send now would be refused.")
    ] = False,
) -> None:
    """Make a version champion, if its gates passed and the champion it was compared with still serves.

    Serving takes it up within seconds, without dropping a request. With a reason, a version that was rolled back returns.
    A use case with `approval: manual` needs another person's approval: `--approved-by`.
    """
    from noria.core.lifecycle.promotion import PromotionRequest
    from noria.jobs import release

    services, chosen = opened(use_case)
    request = PromotionRequest(
        services.registry.version(chosen.name, version).reference(),
        actor=actor(),
        approved_by=approved_by,
        reason=reason,
        allow_retired=bool(reason),
        allow_breaking=allow_breaking,
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


def card(use_case: UseCaseName, version: Version = None) -> None:
    """Write a version's model card with what has happened since it was made, and say where it is.

    Example: `noria card flight_delays 2`
    """
    from noria.jobs import release

    services, chosen = opened(use_case)
    with out.status("reading registry, audit trail and warehouse"):
        page = release.write_card(services, chosen, version)
    say(f"{chosen.name}: {page}")


def checklist(use_case: UseCaseName, version: Version = None) -> None:
    """Show what must be in place before a version decides: computed, with evidence and what to do.

    Exit code 1 where a line says no. Example: `noria checklist flight_delays`
    """
    from noria.core.lifecycle.check_line import CheckState
    from noria.jobs import release

    services, chosen = opened(use_case)
    with out.status("reading registry, audit trail and warehouse"):
        found, lines = release.checklist(services, chosen, version)
    ready = sum(line.state is CheckState.YES for line in lines)
    say(f"{chosen.name} version {found.version}: {ready} of {len(lines)}")
    for line in lines:
        out.print(_checked(line))
    if any(line.state is CheckState.NO for line in lines):
        raise typer.Exit(1)


def _checked(line: ChecklistItem) -> RenderableType:
    """State and what on the first line; evidence and what to do below it, where they have the whole width."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    style = {"yes": "green", "no": "red"}.get(line.state, "yellow")
    first = Text.assemble((f"{line.state.value:8}", style), (line.what, "bold"))
    below = [line.evidence, *([f"to do: {line.to_do}"] if line.to_do else [])]
    return Group(first, *(Padding(Text(text), (0, 0, 0, 8)) for text in below))


def audit_list(
    use_case: Annotated[str | None, typer.Argument(metavar="USE_CASE", help="Only this one's; all when left out.")] = None,
) -> None:
    """List who promoted, or rolled back, which version, when and why; oldest first."""

    services = open_services()
    chosen = services.catalog.get(use_case).name if use_case else None
    events = services.audit.events(chosen)
    if not events:
        say(f"nothing has been promoted or rolled back{f' in {chosen}' if chosen else ''} yet")
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

    events = open_services().audit.verify()
    say(f"the audit trail is whole: {events} events", "green")
