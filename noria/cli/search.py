"""The hyperparameter search from a shell: its workers in processes of their own, one bar over all trials."""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing
import re
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import Queue
from queue import Empty

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from noria.cli.console import out
from noria.core.results import SearchResult, SnapshotRef
from noria.core.use_case import UseCase

_LOGGER = "noria.training"
_TRIAL_ENDED = re.compile(r"trial \d+: .*?\d s\b")
"""Its hyperparameters come after that, over many lines of a small terminal; the best trial's are in the registry."""


def search_all(use_case: UseCase, snapshot: SnapshotRef) -> tuple[SearchResult, ...]:
    """Run all workers of the search at once and wait for them.

    Raises:
        NoriaError: a worker failed.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of numeric libraries half-way
    lines: Queue[logging.LogRecord] = context.Queue()
    workers = use_case.training.workers
    with _bar() as progress, ProcessPoolExecutor(workers, context, _report_to, (lines,)) as pool:
        bar = progress.add_task(f"searching with {workers} workers", total=use_case.training.trials)
        futures = [pool.submit(_work, use_case.name, snapshot, worker) for worker in range(workers)]
        _follow(futures, lines, progress, bar)
        return tuple(future.result() for future in futures)


def _work(name: str, snapshot: SnapshotRef, worker: int) -> SearchResult:
    from noria import jobs
    from noria.bootstrap import bootstrap

    services = bootstrap()
    return jobs.search(services, services.catalog.get(name), snapshot, worker)


def _report_to(lines: Queue[logging.LogRecord]) -> None:
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.QueueHandler(lines))


def _follow(futures: list[Future[SearchResult]], lines: Queue[logging.LogRecord], progress: Progress, bar: TaskID) -> None:
    waiting = set(futures)
    while waiting:
        _, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for record in _drained(lines):
            message = record.getMessage()
            if ended := _TRIAL_ENDED.match(message):
                progress.advance(bar)
                message = ended[0]
            progress.console.print(message, style="dim", markup=False, highlight=False)


def _drained(lines: Queue[logging.LogRecord]) -> list[logging.LogRecord]:
    records = []
    while True:
        try:
            records.append(lines.get_nowait())
        except Empty:
            return records


def _bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out)
