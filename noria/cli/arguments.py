"""Arguments that several commands take."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer

from noria.core.interval import Interval

if TYPE_CHECKING:
    from noria.bootstrap import Services
    from noria.core.use_case import UseCase

UseCaseName = Annotated[str, typer.Argument(metavar="USE_CASE", help="A folder of use_cases/, such as flight_delays.")]
Start = Annotated[str, typer.Option("--start", metavar="DATE", help="First instant, such as 2013-01-01 (UTC).")]
End = Annotated[str, typer.Option("--end", metavar="DATE", help="Instant after the last, such as 2013-02-01 (UTC).")]
AsOf = Annotated[str, typer.Option("--as-of", metavar="DATE", help="Nothing that became known later is used.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")]


def opened(name: str) -> tuple[Services, UseCase]:
    """The services, and the use case of that name.

    Raises:
        UseCaseError: there is none, or its folder is wrong.
    """
    from noria.bootstrap import bootstrap

    services = bootstrap()
    return services, services.catalog.get(name)


def interval(start: str, end: str) -> Interval:
    """The half-open interval of two dates.

    Raises:
        IntervalError: one is not a date, or the end is not after the start.
    """
    return Interval.parse(start, end)


def actor() -> str:
    """Who runs this command, for the audit trail."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()} (command line)"
