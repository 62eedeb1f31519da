"""`noria`: the pipeline's steps, and the embedded stack, from a shell.

Commands import what they need when they run, so that `noria --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from noria.cli import (
    access,
    contract,
    data,
    evidence,
    migration,
    monitoring,
    release,
    rollout,
    scoring,
    stack,
    training,
)
from noria.cli.console import explain, show_error

_HELP = """
One folder per use case; Airflow keeps its model turning.

[bold]First steps[/]

  noria up                      start PostgreSQL, Airflow, MLflow, serving, mail
  noria status                  what runs, and where
  noria check                   hold every use case against its contract

[bold]One turn of the wheel by hand[/] (Airflow does the same on schedule)

  noria data flight_delays --start 2013-01-01 --end 2013-05-01
  noria train flight_delays --as-of 2013-05-01
  noria score flight_delays --start 2013-05-01 --end 2013-06-01
  noria monitor flight_delays --start 2013-05-01 --end 2013-06-01

Times are UTC; --end is exclusive. Settings are NORIA_* variables.
"""

app = typer.Typer(
    name="noria",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (stack, migration, contract, data, training, scoring, monitoring, release, evidence, rollout, access):
    part.register(app)


def main() -> None:
    """Run the command line; an error that a user can act upon is printed without a traceback, with exit code 1."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        show_error(message)
        sys.exit(1)
