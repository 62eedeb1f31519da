"""Holds an interval's rows against the expectations that a use case writes down. The only importer of Great Expectations.

A suite is a YAML list in the use case's folder: `expectations/raw_<source>.yaml` for raw rows, `expectations/features.yaml`
for what dbt made of them. All of a suite is one validation, pushed down to PostgreSQL, over the interval's rows alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from noria.core.base.errors import Problem, QualityError, UseCaseError
from noria.core.base.interval import Interval
from noria.core.base.results import QualityResult
from noria.core.use_case import UseCase
from noria.data.ingest.raw import raw_table
from noria.data.postgres.warehouse import Table, Warehouse, quote
from noria.data.quality.infinite_values import endless_features
from noria.data.quality.suites import FOLDER, ExpectationSeverity, Suite, known_files, read_suite
from noria.data.tables.features import feature_table
from noria.io.catalog import FILE_NAME, load_use_case
from noria.io.yaml_file import entries
from noria.ports.data_steps import CheckedStage

log = logging.getLogger(__name__)
_SAMPLE = 5


@dataclass(frozen=True)
class _Batch:
    """The rows that a suite is held against."""

    suite: Suite
    table: Table
    event_time: str | None
    key: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    """One expectation that the rows do not meet."""

    severity: ExpectationSeverity
    message: str


def validate(
    warehouse: Warehouse, use_case: UseCase, folder: Path, interval: Interval, stage: CheckedStage
) -> QualityResult:
    """Hold the interval's rows against the stage's suites.

    Args:
        warehouse: has the rows.
        use_case: whose they are.
        folder: the use case's folder.
        interval: which rows; reference tables are taken whole.
        stage: `raw` for what sources brought, `features` for what dbt made.

    Returns:
        how many expectations there were, and a line for each warning; a stage without a suite has none.

    Raises:
        QualityError: a critical expectation failed; names expectation, column, count, share and some of the rows. That a
            feature is a number that a model can compute with is expected without being written down.
        TransformError: the features were never built.
        UseCaseError: a suite does not say what it must.
    """
    batches = list(_batches(use_case, folder, stage))
    findings: list[_Finding] = []
    if batches:
        with _quiet():
            source = _connect(warehouse.url)
            for batch in batches:
                findings += _hold(source, batch, interval)
    if stage == "features":
        findings += [
            _Finding(ExpectationSeverity.CRITICAL, line) for line in endless_features(warehouse, use_case, interval)
        ]
    critical = [finding.message for finding in findings if finding.severity is ExpectationSeverity.CRITICAL]
    warnings = tuple(finding.message for finding in findings if finding.severity is ExpectationSeverity.WARNING)
    for warning in warnings:
        log.warning("%s %s: %s", use_case.name, interval, warning)
    if critical:
        raise QualityError(
            "\n".join(
                [f"{use_case.name} {interval}: {len(critical)} critical expectations on {stage} failed; nothing goes on"]
                + [f"- {message}" for message in critical]
                + [f"- (warning) {message}" for message in warnings]
            )
        )
    return QualityResult(
        suite=stage,
        expectations=sum(len(batch.suite.expectations) for batch in batches),
        warnings=tuple(warning.splitlines()[0][:200] for warning in warnings[:4]),
    )


def read_suites(folder: Path) -> tuple[Suite, ...]:
    """Read and check every suite of a use case, without a database.

    Args:
        folder: the use case's folder.

    Raises:
        UseCaseError: lists every problem: a file that no source has, an unknown expectation, an argument it does not take.
    """
    use_case = load_use_case(folder / FILE_NAME)
    problems: list[Problem] = []
    suites: list[Suite] = []
    for path in entries(folder / FOLDER, f"{folder.name}/{FOLDER}"):
        if not path.match("*.y*ml"):
            continue
        try:
            suites.append(_checked(read_suite(path, known_files(use_case))))
        except UseCaseError as error:
            problems += error.problems
    if problems:
        raise UseCaseError(problems)
    return tuple(suites)


def _batches(use_case: UseCase, folder: Path, stage: str) -> Iterator[_Batch]:
    names = known_files(use_case)
    for suite in read_suites(folder) if (folder / FOLDER).is_dir() else ():
        source = names[suite.name]
        if source is None and stage == "features":
            yield _Batch(suite, feature_table(use_case), use_case.event_time, (use_case.entity,))
        elif source is not None and stage == "raw":
            yield _Batch(suite, raw_table(use_case, source), source.event_time, source.key)


def _checked(suite: Suite) -> Suite:
    """Let the library say whether it knows each expectation and its arguments."""
    with _quiet():
        if problems := [problem for index in range(len(suite.expectations)) if (problem := _problem(suite, index))]:
            raise UseCaseError(problems)
    return suite


def _problem(suite: Suite, index: int) -> Problem | None:
    expectation, where = suite.expectations[index], f"{suite.where}: [{index}]"
    known = _known_expectations()
    if expectation.type not in known:
        return Problem(
            f"{where}.type", f"{expectation.type!r} is not an expectation", suite.suggest(expectation.type, known)
        )
    try:
        _build(suite, index)
    except (ValueError, TypeError) as error:  # pydantic's errors are ValueErrors, in every version that the library carries
        details = error.errors() if hasattr(error, "errors") else []
        field = ".".join(str(part) for part in details[0]["loc"]) if details else ""
        reason = details[0]["msg"] if details else str(error)
        allowed = ", ".join(name for name in known[expectation.type] if name not in _OWN)
        return Problem(f"{where}.kwargs{'.' + field if field else ''}", reason, f"it takes {allowed}")
    return None


_OWN = frozenset(
    {"id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity", "batch_id"}
    | {"windows", "condition_parser"}
)


def _known_expectations() -> Mapping[str, Sequence[str]]:
    """Fields of each expectation, by type."""
    from great_expectations.expectations.registry import get_expectation_impl, list_registered_expectation_implementations

    return {name: list(get_expectation_impl(name).__fields__) for name in list_registered_expectation_implementations()}


def _build(suite: Suite, index: int) -> Any:
    from great_expectations.expectations.registry import get_expectation_impl

    expectation = suite.expectations[index]
    # The place in the suite travels in `meta`: results come back in an order of their own.
    return get_expectation_impl(expectation.type)(
        **expectation.kwargs, severity=expectation.severity.value, meta={"index": index}
    )


def _connect(url: str) -> Any:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    target = make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    return context.data_sources.add_postgres("warehouse", connection_string=target)


def _hold(source: Any, batch: _Batch, interval: Interval) -> list[_Finding]:
    from great_expectations.core import ExpectationSuite

    asset = source.add_query_asset(batch.suite.name, query=_query(batch, interval))
    suite = ExpectationSuite(
        name=batch.suite.name, expectations=[_build(batch.suite, index) for index in range(len(batch.suite.expectations))]
    )
    format_ = {
        "result_format": "SUMMARY",
        "unexpected_index_column_names": list(batch.key),
        "partial_unexpected_count": _SAMPLE,
    }
    held = asset.add_batch_definition_whole_table("interval").get_batch().validate(suite, result_format=format_)
    failed = [result for result in held.results if not result.success]
    failed.sort(key=lambda result: int(result.expectation_config.meta["index"]))
    return [_finding(batch, result) for result in failed]


def _query(batch: _Batch, interval: Interval) -> str:
    if batch.event_time is None:
        return f"select * from {batch.table}"
    column = quote(batch.event_time)
    return (
        f"select * from {batch.table} where {column} >= '{interval.start.isoformat()}' "
        f"and {column} < '{interval.end.isoformat()}'"
    )


def _finding(batch: _Batch, result: Any) -> _Finding:
    expectation = batch.suite.expectations[int(result.expectation_config.meta["index"])]
    arguments = ", ".join(f"{name}={value!r}" for name, value in expectation.kwargs.items())
    parts = [f"{batch.table}: {expectation.type}({arguments})"]
    if reason := _exception(result):
        parts.append(f"could not be held: {reason}")
    found = result.result
    if found.get("unexpected_count") is not None and found.get("element_count"):
        share = found.get("unexpected_percent_total") or found.get("unexpected_percent") or 0
        parts.append(f"{found['unexpected_count']} of {found['element_count']} rows do not meet it ({share:.2f} %)")
    elif found.get("observed_value") is not None:
        parts.append(f"found {found['observed_value']}")
    elif found.get("partial_unexpected_list"):
        parts.append(f"found {found['partial_unexpected_list'][:_SAMPLE]}")
    if expectation.why:
        parts.append(expectation.why)
    if rows := found.get("partial_unexpected_index_list"):
        parts.append("such as " + "; ".join(_row(row) for row in rows[:_SAMPLE]))
    elif found.get("element_count") and found.get("partial_unexpected_list"):
        parts.append(f"such as {found['partial_unexpected_list'][:_SAMPLE]}")
    return _Finding(expectation.severity, ": ".join(parts[:2]) + "".join(f"; {part}" for part in parts[2:]))


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value.isoformat() if hasattr(value, 'isoformat') else value}" for name, value in row.items())


def _exception(result: Any) -> str | None:
    """The first line of what went wrong inside the library, which nests it per metric."""
    information = result.exception_info or {}
    nested = [information] if "raised_exception" in information else list(information.values())
    for item in nested:
        if isinstance(item, Mapping) and item.get("raised_exception"):
            return str(item.get("exception_message")).splitlines()[0]
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's storm of INFO lines out of the task's log, and its reports about its users at home."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    before = logging.root.manager.disable
    logging.disable(logging.INFO)  # its loggers set levels of their own, one by one
    try:
        yield
    finally:
        logging.disable(before)
