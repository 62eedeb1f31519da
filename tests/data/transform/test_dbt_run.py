from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.synchronize import SemLock
from pathlib import Path

import pytest
from sqlalchemy import text

from noria.core.base.errors import TransformError
from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.ingest.ingest import ingest
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.features import read_features, read_labels
from noria.data.transform.dbt_run import transform
from noria.settings import source_url
from tests.data.slice import FIRST, KEY, NOW, SECOND, THIRD

Fingerprint = Callable[[Warehouse, str], str]
TABLES = ("features.ftr_flight_delays", "labels.lbl_flight_delays")


def turn(url: str, use_case: UseCase, folder: Path, interval: Interval, project: Path, state: Path) -> None:
    """Ingest and transform, as a worker process does."""
    warehouse = Warehouse(url)
    ingest(warehouse, use_case, folder, interval, pseudonym_key=KEY, source_url=source_url, now=NOW)
    transform(warehouse, use_case, interval, project, state)
    warehouse.close()


def test_intervals_in_any_order_at_once_in_processes_give_what_one_after_the_other_gives(
    warehouse: Warehouse,
    built: Warehouse,
    use_case: UseCase,
    slice_folder: Path,
    root: Path,
    tmp_path: Path,
    fingerprint: Fingerprint,
) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = [
        (warehouse.url, use_case, slice_folder, interval, root / "dbt_project", tmp_path)
        for interval in (THIRD, SECOND, FIRST)
    ]
    processes = [context.Process(target=turn, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    for table in TABLES:
        assert fingerprint(warehouse, table) == fingerprint(built, table)


def test_a_second_run_changes_nothing_and_stays_inside_its_interval(
    built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path, fingerprint: Fingerprint
) -> None:
    before = {table: fingerprint(built, table) for table in TABLES}
    with built.transaction() as connection:
        connection.execute(
            text("update features.ftr_flight_delays set distance = 1 where scheduled_departure >= '2013-01-10'")
        )
    result = transform(built, use_case, SECOND, root / "dbt_project", tmp_path)
    assert result.rows["ftr_flight_delays"] == result.rows["lbl_flight_delays"] > 1000
    inside = read_features(built, use_case, SECOND)["distance"].to_pylist()
    assert min(inside) > 1, "the interval was replaced"
    outside = read_features(built, use_case, THIRD)["distance"].to_pylist()
    assert set(outside) == {1.0}, "the next interval was left alone"
    transform(built, use_case, THIRD, root / "dbt_project", tmp_path)
    assert {table: fingerprint(built, table) for table in TABLES} == before


def test_dbt_leaves_no_lock_behind(built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path) -> None:
    held = _locks()
    transform(built, use_case, SECOND, root / "dbt_project", tmp_path)
    assert _locks() <= held, "a task's process ends without finalizers, and Python would report a leak in its log"


def _locks() -> set[str]:
    return {lock._semlock.name for lock in gc.get_objects() if isinstance(lock, SemLock)}  # type: ignore[attr-defined]  # private


def test_a_failed_test_is_named_with_its_rows(built: Warehouse, use_case: UseCase, root: Path, tmp_path: Path) -> None:
    with built.transaction() as connection:
        connection.execute(
            text(
                "insert into raw.flight_delays__flights select * from raw.flight_delays__flights "
                "where time_hour >= '2013-01-10' and time_hour < '2013-01-11' order by time_hour, carrier, flight limit 1"
            )
        )
    with pytest.raises(TransformError, match=r"unique_in_interval_lbl_flight_delays_flight_id.*: 1 rows fail"):
        transform(built, use_case, SECOND, root / "dbt_project", tmp_path)


def test_features_before_the_first_transform_say_what_to_do(warehouse: Warehouse, use_case: UseCase) -> None:
    with pytest.raises(TransformError, match="does not exist: run the transform step"):
        read_features(warehouse, use_case, FIRST)


def test_features_are_typed_ordered_and_labels_wait_for_their_time(built: Warehouse, use_case: UseCase) -> None:
    rows = read_features(built, use_case, SECOND)
    assert rows.column_names == ["flight_id", "scheduled_departure", *use_case.features.names]
    assert {str(rows.schema.field(name).type) for name in use_case.features.numeric} == {"double"}
    assert {str(rows.schema.field(name).type) for name in use_case.features.categorical} == {"string"}
    order = list(zip(rows["scheduled_departure"].to_pylist(), rows["flight_id"].to_pylist(), strict=True))
    assert order == sorted(order)
    assert read_labels(built, use_case, SECOND, SECOND.start).num_rows == 0
    some = read_labels(built, use_case, SECOND, SECOND.end)
    everything = read_labels(built, use_case, SECOND, SECOND.end + timedelta(days=3))
    assert 0 < some.num_rows < everything.num_rows < rows.num_rows, "cancelled flights have no label"
    assert max(some["scheduled_departure"].to_pylist()) <= SECOND.end - use_case.label.available_after
