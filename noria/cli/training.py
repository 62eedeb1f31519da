"""Training from a shell: the steps of Airflow's DAG, up to the registered version."""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing
import re
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import Queue
from queue import Empty
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from noria.cli.arguments import AsOf, UseCaseName, open_services, opened
from noria.cli.console import facts, out, say, show

if TYPE_CHECKING:
    from datetime import datetime

    from noria.bootstrap import Services
    from noria.core.base.results import SearchResult, SnapshotRef
    from noria.core.use_case import UseCase

_LOGGER = "noria.training"
_TRIAL_ENDED = re.compile(r"trial \d+: .*? of \d+ trials(?:, [\d.]+ min(?: and [\d.]+ \w+)? left)?")
"""Its hyperparameters come after that, over many lines of a small terminal; the best trial's are in the registry."""
_STANDING = re.compile(r"(?P<done>\d+) of \d+ trials(?:, (?P<left>[\d.]+ min(?: and [\d.]+ \w+)? left))?")
_BEST = re.compile(r"\(best (?P<best>[^)]+)\)")

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[best]}"),
    TextColumn("{task.fields[left]}"),
    TimeElapsedColumn(),
)
"""Of the bar: trials, the best value so far, and what is left of time and money."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Pipeline")(train)


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
    show(f"version {registered.version}", registered)
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


def search_all(use_case: UseCase, snapshot: SnapshotRef) -> tuple[SearchResult, ...]:
    """Run all workers of the search at once and wait for them.

    Every trial is a line. In a terminal a bar below them says how far the search is, what is best and what is left.

    Raises:
        NoriaError: a worker failed.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of numeric libraries half-way
    lines: Queue[logging.LogRecord] = context.Queue()
    workers = use_case.training.workers
    with _bar() as progress, ProcessPoolExecutor(workers, context, _report_to, (lines,)) as pool:
        bar = progress.add_task(f"searching with {workers} workers", total=use_case.training.trials, best="", left="")
        futures = [pool.submit(_work, use_case.name, snapshot, worker) for worker in range(workers)]
        _follow(futures, lines, progress, bar)
        return tuple(future.result() for future in futures)


def _work(name: str, snapshot: SnapshotRef, worker: int) -> SearchResult:
    from noria.jobs import training

    services = open_services()
    return training.search(services, services.catalog.get(name), snapshot, worker)


def _report_to(lines: Queue[logging.LogRecord]) -> None:
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.QueueHandler(lines))


def _follow(futures: list[Future[SearchResult]], lines: Queue[logging.LogRecord], progress: Progress, bar: TaskID) -> None:
    waiting = set(futures)
    while waiting:
        _, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for record in _drained(lines):
            show_trial(record.getMessage(), progress, bar)


def show_trial(message: str, progress: Progress, bar: TaskID) -> None:
    """Print a worker's line, and move the bar where it ends a trial."""
    if ended := _TRIAL_ENDED.match(message):
        message = ended[0]
        _move(message, progress, bar)
    progress.console.print(message, style="dim", markup=False, highlight=False)


def _move(message: str, progress: Progress, bar: TaskID) -> None:
    """Move the bar to where a trial's line says that the search stands; lines of two workers can overtake each other."""
    if reported := _STANDING.search(message):
        done = max(int(reported["done"]), int(progress.tasks[bar].completed))
        progress.update(bar, completed=done, left=reported["left"] or "")
    if best := _BEST.search(message):
        progress.update(bar, best=f"best {best['best']}")


def _drained(lines: Queue[logging.LogRecord]) -> list[logging.LogRecord]:
    records = []
    while True:
        try:
            records.append(lines.get_nowait())
        except Empty:
            return records


def _bar() -> Progress:
    return Progress(*COLUMNS, console=out, disable=not out.is_terminal)  # where nobody watches, the lines say it all
