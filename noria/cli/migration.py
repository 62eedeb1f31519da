"""`noria migrate`: the schema of Noria's own tables."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import open_services
from noria.cli.console import say

if TYPE_CHECKING:
    from noria.bootstrap import Services


_DAY = timedelta(days=1).total_seconds()


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Database")(migrate)


def _at_most_a_day(seconds: float) -> float:
    if not seconds <= _DAY:  # so that what is not a number is refused too
        raise typer.BadParameter(f"{seconds:g} is more than a day, {_DAY:g} seconds")
    return seconds


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be applied, and change nothing.")] = False,
    lock_timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="Longest wait for a table that another session uses.",
            callback=_at_most_a_day,
        ),
    ] = 5.0,
) -> None:
    """Bring Noria's own tables in PostgreSQL to the revision that this release needs.

    Run it once after an upgrade, before Airflow and serving start; `noria up` and docker compose do it. Commands and tasks
    refuse to work on tables of another revision, and name this command. Nothing happens where nothing is pending.

    Each migration is one transaction: after an error or a kill, run it again. There is no way back, so take a backup first.

    Examples: `noria migrate --dry-run`, `noria migrate`, `noria migrate --lock-timeout 60`.
    """
    from noria.jobs import migration

    services = open_services()
    if dry_run:
        _show(services)
        return
    wait = timedelta(seconds=lock_timeout)
    state = migration.migrate(services, lock_timeout=wait, on_applied=lambda applied: say(f"applied {applied}"))
    say(f"{state}, which this release needs")


def _show(services: Services) -> None:
    from noria.jobs import migration

    plan = migration.plan(services)
    say(str(plan.state))
    if plan.state.unnumbered and plan.state.revision:
        say(f"would number these tables {plan.state.revision}")
    for pending in plan.pending:
        say(f"would apply {pending}")
    if not plan.pending and not plan.state.unnumbered:
        say("nothing to apply")
