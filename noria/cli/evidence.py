"""Model card and checklist of a version from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import UseCaseName, opened
from noria.cli.console import out, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from noria.core.lifecycle.check_line import ChecklistItem

Version = Annotated[
    str | None,
    typer.Argument(metavar="VERSION", help="Default: the champion, or the newest version while the baseline serves."),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (card, checklist):
        app.command(rich_help_panel="Versions")(command)


def card(use_case: UseCaseName, version: Version = None) -> None:
    """Write a version's model card with what has happened since it was made, and say where it is.

    Example: `noria card flight_delays 2`
    """
    from noria.jobs import evidence

    services, chosen = opened(use_case)
    with out.status("reading registry, audit trail and warehouse"):
        page = evidence.write_card(services, chosen, version)
    say(f"{chosen.name}: {page}")


def checklist(use_case: UseCaseName, version: Version = None) -> None:
    """Show what must be in place before a version decides: computed, with evidence and what to do.

    Exit code 1 where a line says no. Example: `noria checklist flight_delays`
    """
    from noria.core.lifecycle.check_line import CheckState
    from noria.jobs import evidence

    services, chosen = opened(use_case)
    with out.status("reading registry, audit trail and warehouse"):
        found, lines = evidence.checklist(services, chosen, version)
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
