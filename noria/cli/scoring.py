"""Scoring of an interval from a shell."""

from __future__ import annotations

import typer

from noria.cli.arguments import End, Start, UseCaseName, interval, opened
from noria.cli.console import show


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Pipeline")(score)


def score(use_case: UseCaseName, start: Start, end: End) -> None:
    """Predict every entity of an interval with the version that was in force when it began."""
    from noria.jobs import scoring

    services, chosen = opened(use_case)
    show("score", scoring.score(services, chosen, interval(chosen, start, end)))
