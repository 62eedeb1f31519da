"""The pipeline's steps from a shell: the same jobs as Airflow's tasks run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from noria.cli.arguments import AsOf, End, Start, UseCaseName, interval, opened
from noria.cli.console import facts, out, say

if TYPE_CHECKING:
    from datetime import datetime

    from rich.progress import Progress

    from noria.bootstrap import Services
    from noria.core.base.interval import Interval
    from noria.core.base.results import Result
    from noria.core.use_case import UseCase


class DataStage(StrEnum):
    """Which suite `noria validate` runs."""

    RAW = "raw"
    FEATURES = "features"


_StageOption = Annotated[DataStage, typer.Option("--stage", help="Raw data, or the features made of it.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (data, train, score, monitor):
        app.command(rich_help_panel="Pipeline")(command)
    for command in (ingest, validate, transform):
        app.command(rich_help_panel="Single steps")(command)


def ingest(use_case: UseCaseName, start: Start, end: End) -> None:
    """Bring an interval's raw data in, replacing that interval whole.

    Example: `noria ingest flight_delays --start 2013-01-01 --end 2013-02-01`
    """
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    _show("ingest", data_jobs.ingest(services, chosen, interval(chosen, start, end)))


def validate(use_case: UseCaseName, start: Start, end: End, stage: _StageOption = DataStage.RAW) -> None:
    """Hold an interval's rows against the use case's expectations; a critical failure names the rows."""
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    _show(f"validate {stage}", data_jobs.validate(services, chosen, interval(chosen, start, end), stage.value))


def transform(use_case: UseCaseName, start: Start, end: End) -> None:
    """Build an interval's features and labels with dbt, and test them."""
    from noria.jobs import data as data_jobs

    services, chosen = opened(use_case)
    _show("transform", data_jobs.transform(services, chosen, interval(chosen, start, end)))


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


def train(
    use_case: UseCaseName,
    as_of: AsOf,
    version: Annotated[
        str | None,
        typer.Option("--verify", metavar="VERSION", help="Make this version again, and say whether it comes out the same."),
    ] = None,
) -> None:
    """Train on what was known at a date: snapshot, search, evaluation, gates, registration. Promotes nothing.

    Example: `noria train flight_delays --as-of 2013-05-01`, then `noria promote flight_delays VERSION`

    With `--verify` nothing is registered: training set, fit and (one worker's) search are repeated and compared; exit code 1
    where anything differs.
    """
    from noria.cli.search import search_all
    from noria.core.base.interval import parse_instant
    from noria.jobs import training

    services, chosen = opened(use_case)
    instant = parse_instant(as_of)
    if version is not None:
        _verify(services, chosen, instant, version)
        return
    with out.status("registering the baseline as version 0"):
        training.ensure_baseline(services, chosen)
    with out.status("freezing the training set"):
        snapshot = training.take_snapshot(services, chosen, instant)
    say(f"training set: {snapshot.rows:,} rows known at {as_of}, digest {snapshot.digest[:16]}")
    search_all(chosen, snapshot)
    with out.status("fitting, judging on the last slice of time, registering"):
        registered = training.fit_and_register(services, chosen, snapshot)
    _show(f"version {registered.version}", registered)
    if registered.passed:
        say(f"Every gate passed: noria promote {chosen.name} {registered.version}")


def _verify(services: Services, use_case: UseCase, as_of: datetime, version: str) -> None:
    from noria.jobs.verification import verify

    with out.status(f"making version {version} again"):
        result = verify(services, use_case, as_of, version)
    words = {True: "the same", False: "different", None: "not repeated: several workers or the clock drew its trials"}
    found = {"training set": result.same_snapshot, "bundle": result.same_bundle, "search": result.same_search}
    out.print(facts(f"version {version}", {name: words[same] for name, same in found.items()}))
    for line in result.differences:
        say(line)
    if not result.reproduced:
        raise typer.Exit(1)


def score(use_case: UseCaseName, start: Start, end: End) -> None:
    """Predict every entity of an interval with the version that was in force when it began."""
    from noria.jobs import scoring

    services, chosen = opened(use_case)
    _show("score", scoring.score(services, chosen, interval(chosen, start, end)))


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
    _show("verdict", jobs.monitor(services, chosen, piece))
    if mail:
        _show("e-mail", jobs.notify(services, chosen, piece))


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


def _show(title: str, result: Result) -> None:
    rows: dict[str, object] = {}
    for name, value in result.model_dump(mode="json").items():
        rows[name] = _words(value)
    out.print(facts(title, rows))


def _words(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item:,}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value
