"""The data steps from a shell: the same jobs as Airflow's tasks run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import End, Start, UseCaseName, interval, opened
from noria.cli.console import out, say, show

if TYPE_CHECKING:
    from rich.progress import Progress

    from noria.bootstrap import Services
    from noria.core.base.interval import Interval
    from noria.core.use_case import UseCase


class DataStage(StrEnum):
    """Which suite `noria validate` runs."""

    RAW = "raw"
    FEATURES = "features"


_StageOption = Annotated[DataStage, typer.Option("--stage", help="Raw data, or the features made of it.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel="Pipeline")(data)
    for command in (ingest, validate, transform):
        app.command(rich_help_panel="Single steps")(command)


def ingest(use_case: UseCaseName, start: Start, end: End) -> None:
    """Bring an interval's raw data in, replacing that interval whole.

    Example: `noria ingest flight_delays --start 2013-01-01 --end 2013-02-01`
    """
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    show("ingest", data_jobs.ingest(services, chosen, interval(chosen, start, end)))


def validate(use_case: UseCaseName, start: Start, end: End, stage: _StageOption = DataStage.RAW) -> None:
    """Hold an interval's rows against the use case's expectations; a critical failure names the rows."""
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    show(f"validate {stage}", data_jobs.validate(services, chosen, interval(chosen, start, end), stage.value))


def transform(use_case: UseCaseName, start: Start, end: End) -> None:
    """Build an interval's features and labels with dbt, and test them."""
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    show("transform", data_jobs.transform(services, chosen, interval(chosen, start, end)))


def data(
    use_case: UseCaseName,
    start: Annotated[str | None, typer.Option("--start", metavar="DATE", help="Default: the first day of data.")] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="DATE", help="Default: the end of the data.")] = None,
) -> None:
    """Run all data steps over every interval between two dates: ingest, check, transform, check.

    Example: `noria data flight_delays --start 2013-01-01 --end 2013-05-01`
    """
    services, chosen = opened(use_case)
    steps = _data_steps()
    intervals = chosen.schedule.data.intervals(_span(chosen, start, end))
    with _progress() as progress:
        bar = progress.add_task("", total=len(intervals) * len(steps))
        for piece in intervals:
            for name, step in steps.items():
                progress.update(bar, description=f"{piece} {name}")
                step(services, chosen, piece)
                progress.advance(bar)
    say(f"{chosen.name}: {len(intervals)} interval{'s' if len(intervals) > 1 else ''} ingested, checked and transformed")


def _data_steps() -> dict[str, Callable[[Services, UseCase, Interval], object]]:
    from noria.jobs import data as data_jobs

    return {
        "ingest": data_jobs.ingest,
        "check raw data": lambda services, use_case, piece: data_jobs.validate(services, use_case, piece, "raw"),
        "transform": data_jobs.transform,
        "check features": lambda services, use_case, piece: data_jobs.validate(services, use_case, piece, "features"),
    }


def _span(use_case: UseCase, start: str | None, end: str | None) -> Interval:
    from datetime import UTC, datetime, time

    from noria.core.base.errors import IntervalError
    from noria.core.base.interval import Interval, parse_instant

    schedule = use_case.schedule
    last = schedule.end
    if end is None and last is None:
        raise IntervalError(f"the data of {use_case.name} goes on: give --end, such as --end 2026-01-01")
    first_instant = parse_instant(start) if start else datetime.combine(schedule.start, time.min, UTC)
    last_instant = parse_instant(end) if end else datetime.combine(last or schedule.start, time.min, UTC)
    return Interval(first_instant, last_instant)


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out)
