"""Builds an interval's features and labels with dbt, in this process, and tests them."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text

from noria.core.base.errors import TransformError, UseCaseError
from noria.core.base.formatting import plain_name
from noria.core.base.interval import Interval
from noria.core.base.results import TransformResult
from noria.core.use_case import UseCase
from noria.data.postgres.locks import cells, holding
from noria.data.postgres.warehouse import Table, Warehouse, quote
from noria.data.tables.features import LABEL_KNOWN_AT, feature_table, label_table
from noria.data.transform.dbt_contracts import DbtProject, check_models

log = logging.getLogger(__name__)

# dbt keeps its flags, its adapters and its logging per process.
_ONE_AT_A_TIME = threading.Lock()
_SHOWN = frozenset({"LogModelResult", "LogTestResult", "LogUnitTestResult"})
_BAD = frozenset({"error", "fail", "runtime error"})
_MOST_FAILURES = 10


def transform(
    warehouse: Warehouse, use_case: UseCase, interval: Interval, project: Path, state_folder: Path
) -> TransformResult:
    """Build and test the use case's models for the interval, replacing its rows; the rows of other intervals stay.

    Runs of different intervals may overlap. The first run of all makes the tables, alone.

    Args:
        warehouse: where the rows go.
        use_case: names the models; `known_before` and `features.lookback` reach dbt as variables.
        interval: which rows are replaced.
        project: the dbt project's folder.
        state_folder: gets dbt's artifacts and log, one folder per use case and interval.

    Raises:
        TransformError: a model or a test failed; names it, with the rows that fail.
        UseCaseError: a model that the use case names is not there, or lacks a column.
    """
    if problems := tuple(check_models(use_case, DbtProject(project))):
        raise UseCaseError(problems)
    folder = state_folder / use_case.name / f"{interval.start:%Y%m%dT%H%M%S}-{interval.end:%Y%m%dT%H%M%S}"
    with (
        holding(warehouse, tuple(f"transform/{cell}" for cell in cells(use_case, interval))),
        _tables(warehouse, use_case),
        _ONE_AT_A_TIME,
        _environment(_connection(warehouse.url)),
    ):
        _build(use_case, interval, project, folder)
    return TransformResult(rows=_count(warehouse, use_case, interval))


@contextmanager
def _tables(warehouse: Warehouse, use_case: UseCase) -> Iterator[None]:
    """Share the tables with other intervals; keep them to ourselves where dbt will make or widen them."""
    name = (f"transform/{use_case.name}/tables",)
    with holding(warehouse, name, shared=True):
        ready = _are_ready(warehouse, use_case)
        if ready:
            yield
    if not ready:
        with holding(warehouse, name):
            yield


def _are_ready(warehouse: Warehouse, use_case: UseCase) -> bool:
    features = {use_case.entity, use_case.event_time, *use_case.features.names}
    labels = {use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT}
    return features <= set(warehouse.columns(feature_table(use_case))) and labels <= set(
        warehouse.columns(label_table(use_case))
    )


def _build(use_case: UseCase, interval: Interval, project: Path, folder: Path) -> None:
    from dbt.adapters.factory import reset_adapters

    trouble = _run_dbt(use_case, interval, project, folder)
    # dbt's locks are named semaphores that only finalizers remove. A task's process ends without them, and Python would
    # report them as leaked: an ERROR at the end of a green task's log.
    reset_adapters()
    gc.collect()
    if trouble:
        raise TransformError(trouble)


def _run_dbt(use_case: UseCase, interval: Interval, project: Path, folder: Path) -> str:
    """Run `dbt build`; returns what failed, or nothing."""
    from dbt.cli.main import dbtRunner  # takes seconds to import

    try:
        outcome = dbtRunner(callbacks=[_forward]).invoke(_arguments(use_case, interval, project, folder))
    finally:
        _close_logs()
    return "" if outcome.success else _explain(use_case, interval, outcome, folder)


def _arguments(use_case: UseCase, interval: Interval, project: Path, folder: Path) -> list[str]:
    variables = {
        "start": interval.start.isoformat(),
        "end": interval.end.isoformat(),
        "lookback": f"{use_case.features.lookback.total_seconds():.0f} seconds",
        "known_before": f"{use_case.known_before.total_seconds():.0f} seconds",
    }
    return [
        *("build", "--select", f"+{use_case.features.model}", f"+{use_case.label.model}"),
        *("--vars", json.dumps(variables)),
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(folder / "target"), "--log-path", str(folder)),
        # The variables differ with every interval, so what an earlier run has parsed is never valid.
        *("--no-partial-parse", "--log-level", "none", "--log-level-file", "info", "--no-use-colors"),
    ]


def _forward(event: Any) -> None:
    """Lines about models and tests go to our own log; the rest is in dbt's file."""
    if event.info.name in _SHOWN:
        log.info("%s", event.info.msg)


def _close_logs() -> None:
    """Close the log files that dbt leaves open, since a worker process runs many intervals."""
    for name in ("file_log", "stdout_log"):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()


def _explain(use_case: UseCase, interval: Interval, outcome: Any, folder: Path) -> str:
    where = f"{use_case.name} {interval}: dbt"
    log_file = folder / "dbt.log"
    results = getattr(outcome.result, "results", None) or []
    failures = [_failure(result) for result in results if str(result.status) in _BAD]
    if not failures:
        return f"{where} could not start: {outcome.exception or 'no model was selected'}; its log is {log_file}"
    more = [f"... and {len(failures) - _MOST_FAILURES} more"] if len(failures) > _MOST_FAILURES else []
    return "\n".join([f"{where} failed; its log is {log_file}", *failures[:_MOST_FAILURES], *more])


def _failure(result: Any) -> str:
    node = result.node
    kind = plain_name(str(node.resource_type))
    count = f": {result.failures} rows fail" if result.failures and kind == "test" else ""
    message = " ".join(str(result.message or "no message").split())
    query = getattr(node, "compiled_path", None)
    seen = f"; the query that finds them is {query}" if count and query else f"; mend {node.original_file_path}"
    return f"- {kind} {node.name}{count} ({message}){seen}"


def _count(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> dict[str, int]:
    with warehouse.transaction() as connection:

        def rows(table: Table) -> int:
            column = quote(use_case.event_time)
            query = text(f"select count(*) from {table} where {column} >= :start and {column} < :end")
            return int(connection.execute(query, {"start": interval.start, "end": interval.end}).scalar_one())

        return {table.name: rows(table) for table in (feature_table(use_case), label_table(use_case))}


def _connection(url: str) -> Mapping[str, str]:
    """Variables that profiles.yml reads."""
    parts = make_url(url)
    return {
        "NORIA_DBT_HOST": parts.host or "127.0.0.1",
        "NORIA_DBT_PORT": str(parts.port or 5432),
        "NORIA_DBT_USER": parts.username or "postgres",
        "NORIA_DBT_PASSWORD": parts.password or "",
        "NORIA_DBT_DATABASE": parts.database or "postgres",
    }


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for dbt, which takes a connection in no other way, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
