"""Arguments that several commands take."""

from __future__ import annotations

import getpass
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated

import typer

from noria.core.base.errors import IntervalError
from noria.core.base.interval import Interval

if TYPE_CHECKING:
    from noria.bootstrap import Services
    from noria.core.use_case import UseCase

SERVICES: ContextVar[Services] = ContextVar("services")
"""Services that commands use in place of what the settings name; who runs a command in this process may set it."""
_FORM = "%Y-%m-%dT%H:%M"

UseCaseName = Annotated[str, typer.Argument(metavar="USE_CASE", help="A folder of use_cases/, such as flight_delays.")]
Start = Annotated[str, typer.Option("--start", metavar="DATE", help="First instant, such as 2013-01-01 (UTC).")]
End = Annotated[str, typer.Option("--end", metavar="DATE", help="Instant after the last, such as 2013-02-01 (UTC).")]
AsOf = Annotated[str, typer.Option("--as-of", metavar="DATE", help="Nothing that became known later is used.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")]
ApprovedBy = Annotated[str, typer.Option("--approved-by", metavar="NAME", help="Who else agreed; kept in the audit trail.")]
AllowBreaking = Annotated[
    bool, typer.Option("--allow-breaking", help="Even if requests that apps send now would be refused.")
]


def open_services() -> Services:
    """The services in `SERVICES`, else those that the settings name."""
    from noria.bootstrap import bootstrap

    given = SERVICES.get(None)
    return bootstrap() if given is None else given


def opened(name: str) -> tuple[Services, UseCase]:
    """The services, and the use case of that name.

    Raises:
        UseCaseError: there is none, or its folder is wrong.
    """
    services = open_services()
    return services, services.catalog.get(name)


def interval(use_case: UseCase, start: str, end: str) -> Interval:
    """The interval of the use case that two dates enclose.

    Steps replace, score and judge whole intervals, as Airflow's runs do: a verdict over an odd week would break the row of
    verdicts that decides on training.

    Raises:
        IntervalError: one is not a date, or they do not enclose exactly one interval of the data.
    """
    asked, schedule = Interval.parse(start, end), use_case.schedule
    touched = schedule.data.intervals(asked)
    if touched != (asked,):
        first = f"--start {touched[0].start:{_FORM}} --end {touched[0].end:{_FORM}}"
        raise IntervalError(
            f"{asked} is not one {schedule.data.value} interval of {use_case.name}; the first in it: {first}"
        )
    if asked.end.date() <= schedule.start or (schedule.end and asked.start.date() >= schedule.end):
        until = f" and ends before {schedule.end}" if schedule.end else ""
        raise IntervalError(f"{asked} is not part of the data of {use_case.name}, which starts on {schedule.start}{until}")
    return asked


def actor() -> str:
    """The user of this command, for the audit trail."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()} (command line)"
