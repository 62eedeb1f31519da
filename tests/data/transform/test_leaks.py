"""No feature changes when the future does, and the checks that say so fire when a leak is planted."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import text

from noria.core.base.errors import TransformError
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.features import read_features
from noria.data.transform.dbt_run import transform
from tests.data.slice import SECOND

CUTOFF = SECOND.start + timedelta(hours=36)
"""All that became known after this instant is the future."""


def rewrite_the_future(warehouse: Warehouse) -> int:
    """Give every departure, arrival and observation after the cutoff another value, still after the cutoff."""
    scheduled = "(time_hour + make_interval(mins => minute::int))"
    left = f"({scheduled} + make_interval(mins => dep_delay::int))"
    with warehouse.transaction() as connection:
        departures = connection.execute(
            text(
                f"update raw.flight_delays__flights set dep_delay = dep_delay + 200, arr_delay = -30 where {left} > :cutoff"
            ),
            {"cutoff": CUTOFF},
        )
        # In the air at the cutoff: when it left is known, when it arrives is not.
        arrivals = connection.execute(
            text(
                "update raw.flight_delays__flights set arr_delay = arr_delay + 300 "
                f"where {left} <= :cutoff and {left} + make_interval(mins => air_time::int) > :cutoff"
            ),
            {"cutoff": CUTOFF},
        )
        weather = connection.execute(
            text(
                "update raw.flight_delays__weather set temp = 200, pressure = 1, precip = 99, visib = 0 "
                "where time_hour + interval '1 hour' > :cutoff"
            ),
            {"cutoff": CUTOFF},
        )
    assert min(departures.rowcount, arrivals.rowcount, weather.rowcount) > 10
    return departures.rowcount


def asked_by_the_cutoff(rows: pa.Table, use_case: UseCase) -> list[dict[str, object]]:
    return [row for row in rows.to_pylist() if row["scheduled_departure"] - use_case.known_before <= CUTOFF]


def changed_rows(warehouse: Warehouse, use_case: UseCase, project: Path, state: Path) -> tuple[int, int]:
    """Build, rewrite the future, build again: rows asked by the cutoff that changed, and later rows that changed."""
    transform(warehouse, use_case, SECOND, project, state)
    before = read_features(warehouse, use_case, SECOND)
    rewrite_the_future(warehouse)
    transform(warehouse, use_case, SECOND, project, state)
    after = read_features(warehouse, use_case, SECOND)
    past, past_after = asked_by_the_cutoff(before, use_case), asked_by_the_cutoff(after, use_case)
    assert len(past) == len(past_after) > 500
    in_past = sum(a != b for a, b in zip(past, past_after, strict=True))
    in_all = sum(a != b for a, b in zip(before.to_pylist(), after.to_pylist(), strict=True))
    return in_past, in_all - in_past


def planted(root: Path, tmp_path: Path, file: str, honest: str, leak: str, *, checks: bool) -> Path:
    """A copy of the dbt project with one change; without its checks, what the other proof sees is seen."""
    project = tmp_path / "planted"
    shutil.copytree(root / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs"))
    path = project / file
    content = path.read_text()
    assert honest in content
    path.write_text(content.replace(honest, leak))
    if not checks:
        (project / "tests/ftr_flight_delays_recomputed.sql").unlink()
    for yml in project.glob("models/*/*/*.yml"):  # the rows of the unit tests would see it first
        yml.write_text(yml.read_text().split("\nunit_tests:")[0] + "\n")
    return project


def test_the_future_does_not_reach_a_feature(built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path) -> None:
    in_past, later = changed_rows(built, use_case, root / "dbt_project", tmp_path / "state")
    assert later > 50, "the future was rewritten, and later questions see it"
    assert in_past == 0


def test_a_planted_leak_shows_when_the_future_is_rewritten(
    built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path
) -> None:
    project = planted(
        *(
            root,
            tmp_path,
            "macros/rolling.sql",
            "preceding and current row",
            "preceding and interval '30 minutes' following",
        ),
        checks=False,
    )
    in_past, _ = changed_rows(built, use_case, project, tmp_path / "state")
    assert in_past > 0


@pytest.mark.parametrize(
    ("file", "honest", "leak", "check"),
    [
        (
            "macros/rolling.sql",
            "preceding and current row",
            "preceding and interval '30 minutes' following",
            "ftr_flight_delays_recomputed",
        ),
        (
            "macros/rolling.sql",
            "over (partition by {{ keys }} order by at)",
            "over (partition by {{ keys }})",
            "known_in_time_ftr_flight_delays",
        ),
    ],
)
def test_dbt_finds_a_planted_leak(
    built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path, file: str, honest: str, leak: str, check: str
) -> None:
    project = planted(root, tmp_path, file, honest, leak, checks=True)
    with pytest.raises(TransformError, match=rf"{check}.*rows fail"):
        transform(built, use_case, SECOND, project, tmp_path / "state")
