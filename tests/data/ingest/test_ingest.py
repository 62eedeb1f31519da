from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from noria.core.base.errors import SettingsError, SourceError
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult
from noria.core.use_case import Privacy, SqlSource, UseCase
from noria.data.ingest.ingest import ingest
from noria.data.ingest.privacy import LENGTH, pseudonym
from noria.data.postgres.warehouse import Warehouse
from noria.settings import source_url
from noria.testing.waiting import wait_until
from tests.data.slice import FIRST, KEY, NOW, SECOND, THIRD

Fingerprint = Callable[[Warehouse, str], str]
FLIGHTS = "raw.flight_delays__flights"


def bring(warehouse: Warehouse, use_case: UseCase, folder: Path, interval: Interval, key: str = KEY) -> IngestResult:
    return ingest(warehouse, use_case, folder, interval, pseudonym_key=key, source_url=source_url, now=NOW)


def count(warehouse: Warehouse, table: str, where: str = "true") -> int:
    return int(warehouse.read_arrow(f"select count(*) as rows from {table} where {where}")["rows"][0].as_py())


def small(use_case: UseCase, folder: Path, content: str, **changes: object) -> UseCase:
    """The use case with one source of its own, so that a test may write what it likes."""
    (folder / "events.csv").write_text(content)
    source = use_case.sources[0].model_copy(
        update={"name": "events", "path": "events.csv", "event_time": "at", "key": ("id",), **changes}
    )
    return use_case.model_copy(update={"sources": (source,), "privacy": {}})


def test_an_interval_is_replaced_whole_and_its_lookback_filled(
    warehouse: Warehouse, use_case: UseCase, slice_folder: Path, fingerprint: Fingerprint
) -> None:
    first = bring(warehouse, use_case, slice_folder, SECOND)
    assert first.rows["flights"] == count(
        warehouse, FLIGHTS, f"time_hour >= '{SECOND.start}' and time_hour < '{SECOND.end}'"
    )
    assert first.rows["flights"] > 1000
    assert first.filled > 5000, "1 to 9 January had not been brought"
    before = fingerprint(warehouse, FLIGHTS)
    again = bring(warehouse, use_case, slice_folder, SECOND)
    assert again.rows == first.rows
    assert again.filled == 0
    assert fingerprint(warehouse, FLIGHTS) == before


def test_order_of_intervals_does_not_show(
    warehouse: Warehouse, built: Warehouse, use_case: UseCase, slice_folder: Path, fingerprint: Fingerprint
) -> None:
    for interval in (THIRD, FIRST, SECOND):
        bring(warehouse, use_case, slice_folder, interval)
    for table in (FLIGHTS, "raw.flight_delays__weather", "raw.flight_delays__planes"):
        assert fingerprint(warehouse, table) == fingerprint(built, table)


def test_intervals_at_once_do_not_disturb_each_other(
    warehouse: Warehouse, built: Warehouse, use_case: UseCase, slice_folder: Path, fingerprint: Fingerprint
) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda interval: bring(warehouse, use_case, slice_folder, interval), (SECOND, THIRD, FIRST)))
    assert fingerprint(warehouse, FLIGHTS) == fingerprint(built, FLIGHTS)


def test_a_killed_run_changes_nothing(
    built: Warehouse, use_case: UseCase, slice_folder: Path, fingerprint: Fingerprint
) -> None:
    before = {table: fingerprint(built, table) for table in (FLIGHTS, "ops.ingested")}
    waiting = text(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%ops.ingested%' "
        "and datname = current_database()"
    )
    with built.transaction() as connection:
        # The run deletes and copies its flights, and then stands still here, before the ledger.
        connection.execute(text("lock table ops.ingested in access exclusive mode"))
        process = multiprocessing.get_context("spawn").Process(
            target=bring, args=(Warehouse(built.url), use_case, slice_folder, SECOND)
        )
        process.start()
        try:
            with built.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                wait_until(lambda: bool(other.execute(waiting).scalar()))
        finally:
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert {table: fingerprint(built, table) for table in before} == before
    bring(built, use_case, slice_folder, SECOND)
    assert fingerprint(built, FLIGHTS) == before[FLIGHTS]


def test_a_reference_table_is_written_only_when_it_changed(
    built: Warehouse, use_case: UseCase, slice_folder: Path, tmp_path: Path
) -> None:
    def written() -> set[str]:
        found = built.read_arrow("select distinct xmin::text as written from raw.flight_delays__planes")
        return set(found["written"].to_pylist())

    before = written()
    bring(built, use_case, slice_folder, SECOND)
    assert written() == before
    for file in slice_folder.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    planes = (tmp_path / "planes.csv").read_text().splitlines(keepends=True)
    (tmp_path / "planes.csv").write_text("".join(planes[:-1]))
    bring(built, use_case, tmp_path, SECOND)
    assert written() != before
    assert count(built, "raw.flight_delays__planes") == len(planes) - 2


def test_pseudonyms_join_and_hide(built: Warehouse, use_case: UseCase) -> None:
    flights = built.read_arrow(f"select tailnum, count(*) as n from {FLIGHTS} group by 1")["tailnum"].to_pylist()
    assert None in flights, "a missing plane stays missing"
    assert {len(name) for name in flights if name} == {LENGTH}
    assert pseudonym("N14228", KEY) in flights
    assert pseudonym("N14228", KEY) != pseudonym("N14228", "another key")
    joined = count(built, f"{FLIGHTS} as f join raw.flight_delays__planes as p on f.tailnum = p.tailnum")
    assert joined > 0.7 * count(built, FLIGHTS)


def test_pseudonyms_need_a_key(warehouse: Warehouse, use_case: UseCase, slice_folder: Path) -> None:
    with pytest.raises(SettingsError, match="NORIA_PSEUDONYM_KEY is not set, and flight_delays pseudonymises tailnum"):
        bring(warehouse, use_case, slice_folder, SECOND, key="")


def test_a_misspelt_privacy_column_is_refused(warehouse: Warehouse, use_case: UseCase, slice_folder: Path) -> None:
    wrong = use_case.model_copy(update={"privacy": {"tailnumber": Privacy.PSEUDONYMISE}})
    with pytest.raises(SourceError, match="privacy names tailnumber, which no source has"):
        bring(warehouse, wrong, slice_folder, SECOND)


def test_a_dropped_column_never_arrives_and_leaves_when_forbidden_later(
    warehouse: Warehouse, use_case: UseCase, tmp_path: Path
) -> None:
    plain = small(use_case, tmp_path, "id,at,name\n1,2013-01-10,Ann\n")
    bring(warehouse, plain, tmp_path, SECOND)
    assert "name" in warehouse.read_arrow("select * from raw.flight_delays__events").column_names
    bring(warehouse, plain.model_copy(update={"privacy": {"name": Privacy.DROP}}), tmp_path, SECOND)
    assert "name" not in warehouse.read_arrow("select * from raw.flight_delays__events").column_names


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("id,at\n1,2013-01-10\n", {"path": "missing.csv"}, r"source events: no file at .*missing\.csv"),
        ("id,at\n1,2013-01-10\n", {"path": "package:no_such_package/x.csv"}, "package 'no_such_package' is not installed"),
        ("id,at\n1,2013-01-10\n", {"event_time": "when"}, "there is no column 'when', which event_time names; found id, at"),
        ("id,at\n1,2013-01-10\n", {"key": ("number",)}, "there is no column number, which key names"),
        ("id,at\n1,2013-01-10\n2,tomorrow\n", {}, r"events\.csv line 3, column at: found 'tomorrow', expected a time"),
        ("id,at\n1,2013-01-10\n2,\n", {}, r"events\.csv line 3, column at: found nothing"),
        ("id,at\n7,2013-01-10\n7,2013-01-11\n", {}, r"key id=7 stands at events\.csv line 2 and at events\.csv line 3"),
        ("id,at\n1,2013-01-10,surplus\n", {}, r"events\.csv: is not a CSV table"),
    ],
)
def test_what_cannot_be_read_is_said_with_file_column_and_row(
    warehouse: Warehouse, use_case: UseCase, tmp_path: Path, content: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        bring(warehouse, small(use_case, tmp_path, content, **changes), tmp_path, SECOND)
    assert not warehouse.read_arrow("select 1 from pg_tables where tablename = 'flight_delays__events'").num_rows


def test_types_stay_as_the_first_rows_made_them(warehouse: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    def types() -> dict[str, str]:
        table = warehouse.read_arrow("select * from raw.flight_delays__events")
        return {field.name: str(field.type) for field in table.schema if field.name != "at"}

    bring(warehouse, small(use_case, tmp_path, "id,at,amount,note\n1,2013-01-08,3,a\n"), tmp_path, FIRST)
    assert types() == {"id": "int64", "amount": "int64", "note": "string"}
    wider = small(use_case, tmp_path, "id,at,amount,note,extra\n2,2013-01-10,2.5,7,new\n")
    bring(warehouse, wider, tmp_path, SECOND)
    assert types() == {"id": "int64", "amount": "double", "note": "string", "extra": "string"}
    with pytest.raises(SourceError, match=r"events\.csv line 2, column amount: found 'many', expected double precision"):
        bring(warehouse, small(use_case, tmp_path, "id,at,amount,note,extra\n3,2013-01-12,many,b,c\n"), tmp_path, THIRD)
    with pytest.raises(SourceError, match="column amount is missing; earlier rows have it"):
        bring(warehouse, small(use_case, tmp_path, "id,at,note,extra\n3,2013-01-12,b,c\n"), tmp_path, THIRD)


def test_times_without_a_zone_are_utc_and_intervals_half_open(
    warehouse: Warehouse, use_case: UseCase, tmp_path: Path
) -> None:
    content = "id,at\n1,2013-01-10T00:00:00\n2,2013-01-10 01:00:00+02:00\n3,2013-01-11T23:59:59Z\n4,2013-01-12\n"
    bring(warehouse, small(use_case, tmp_path, content), tmp_path, SECOND)
    found = warehouse.read_arrow("select id from raw.flight_delays__events where at >= '2013-01-10' order by id")
    assert found["id"].to_pylist() == [1, 3]


def test_a_query_is_a_source(
    warehouse: Warehouse, use_case: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORIA_SOURCE_SHOP_URL", warehouse.url)
    with warehouse.transaction() as connection:
        connection.execute(text("create table public.orders (id int, at timestamptz, price numeric(8, 2), day date)"))
        connection.execute(
            text(
                "insert into public.orders values (1, '2013-01-09 12:00Z', 1.5, '2013-01-09'), "
                "(2, '2013-01-10 12:00Z', 2.5, null), (3, '2013-01-12 00:00Z', 3.5, null)"
            )
        )
    query = "select * from public.orders where at >= :start and at < :end"
    source = SqlSource(name="orders", kind="sql", connection="shop", query=query, event_time="at", key=("id",))
    shop = use_case.model_copy(update={"sources": (source,), "privacy": {}})
    result = bring(warehouse, shop, tmp_path, SECOND)
    assert result.rows == {"orders": 1}
    assert result.filled == 1
    found = warehouse.read_arrow("select id, price, day from raw.flight_delays__orders order by id")
    assert found.to_pylist() == [{"id": 1, "price": 1.5, "day": "2013-01-09"}, {"id": 2, "price": 2.5, "day": None}]
    broken = use_case.model_copy(
        update={"sources": (source.model_copy(update={"query": "select nonsense"}),), "privacy": {}}
    )
    with pytest.raises(SourceError, match=r"source orders \(connection shop\): the query failed"):
        bring(warehouse, broken, tmp_path, SECOND)


def test_the_ledger_shows_what_is_covered(built: Warehouse, use_case: UseCase) -> None:
    found = built.read_arrow("select start_at, end_at from ops.ingested where source = 'flights' order by 1").to_pylist()
    assert found[0]["start_at"] == FIRST.start - use_case.features.lookback
    assert [row["end_at"] for row in found[:-1]] == [row["start_at"] for row in found[1:]], "no gap, no overlap"
    assert found[-1]["end_at"] == THIRD.end
    assert THIRD.end - FIRST.start == timedelta(days=6)
