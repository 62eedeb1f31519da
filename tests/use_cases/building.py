"""What the tests of shipped use cases share: their contracts, and databases in which some intervals are built."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.ingest.ingest import ingest
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.features import read_features
from noria.data.transform.dbt_run import transform
from noria.settings import source_url
from tests.conftest import PROJECT

KEY = "a key that only the tests know"
NOW = datetime(2024, 1, 1, tzinfo=UTC)
Rows = list[dict[str, Any]]


def columns(use_case: UseCase, layer: str, model: str) -> dict[str, str]:
    """Columns and types that a model's `.yml` states."""
    content = yaml.safe_load((PROJECT / f"dbt_project/models/{layer}/{use_case.name}/{model}.yml").read_text())
    (found,) = content["models"]
    assert found["name"] == model
    return {column["name"]: column["data_type"] for column in found["columns"]}


def check_contracts(use_case: UseCase, label_type: str) -> None:
    """The use case and its dbt models name the same columns, and every feature is explained to those who send it."""
    features = columns(use_case, "features", use_case.features.model)
    beside = {use_case.entity, use_case.event_time, "newest_fact_at"}
    assert set(features) == set(use_case.features.names) | beside
    assert {features[name] for name in use_case.features.numeric} == {"double precision"}
    assert {features[name] for name in use_case.features.categorical} == {"text"}
    labels = columns(use_case, "labels", use_case.label.model)
    assert set(labels) == {use_case.entity, use_case.event_time, use_case.label.column, "label_known_at"}
    assert labels[use_case.label.column] == label_type
    assert all(feature.description for feature in use_case.features.categorical.values())
    for name, feature in use_case.features.numeric.items():
        assert feature.description, name
        assert feature.unit, name
        assert feature.range is not None, name


def build(
    warehouse: Warehouse, use_case: UseCase, intervals: Sequence[Interval], state: Path, project: Path | None = None
) -> None:
    """Ingest and transform intervals, in this order."""
    for interval in intervals:
        ingest(
            warehouse,
            use_case,
            PROJECT / "use_cases" / use_case.name,
            interval,
            pseudonym_key=KEY,
            source_url=source_url,
            now=NOW,
        )
        transform(warehouse, use_case, interval, project or PROJECT / "dbt_project", state)


def rebuilt(warehouse: Warehouse, use_case: UseCase, interval: Interval, state: Path, project: Path) -> Rows:
    """The interval's features, transformed again from raw rows as they are now."""
    transform(warehouse, use_case, interval, project, state)
    rows: Rows = read_features(warehouse, use_case, interval).to_pylist()
    return rows


def changed(before: Rows, after: Rows, event_time: str, asked_by: datetime) -> tuple[int, int]:
    """Rows that differ: of those with an event time up to the instant, and of the others."""
    assert len(before) == len(after)
    differing = [old[event_time] <= asked_by for old, new in zip(before, after, strict=True) if old != new]
    return sum(differing), len(differing) - sum(differing)


def planted(folder: Path, file: str, honest: str, leak: str, *, checks: Sequence[str] = ()) -> Path:
    """A copy of the dbt project with one change, without unit tests and with only these singular tests."""
    project = folder / "planted"
    shutil.copytree(PROJECT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs"))
    path = project / file
    content = path.read_text()
    assert honest in content
    path.write_text(content.replace(honest, leak))
    for test in (project / "tests").glob("*.sql"):
        if test.stem not in checks:
            test.unlink()
    for yml in project.glob("models/*/*/*.yml"):
        yml.write_text(yml.read_text().split("\nunit_tests:")[0] + "\n")
    return project
