"""Monitoring of an interval from a shell."""

from __future__ import annotations

from typing import Annotated

import typer

from noria.cli.arguments import End, Start, UseCaseName, interval, opened
from noria.cli.console import show


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Pipeline")(monitor)


def monitor(
    use_case: UseCaseName,
    start: Start,
    end: End,
    mail: Annotated[bool, typer.Option("--mail", help="Send the report to the use case's owners, once.")] = False,
) -> None:
    """Judge an interval: drift, performance on labels that have arrived, money. Writes the verdict and the report."""
    from monitoring import jobs

    services, chosen = opened(use_case)
    piece = interval(chosen, start, end)
    show("verdict", jobs.monitor(services, chosen, piece))
    if mail:
        show("e-mail", jobs.notify(services, chosen, piece))
