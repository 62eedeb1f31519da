"""Predictions reach PostgreSQL whole and once, and a line that cannot be stored holds up no other."""

import threading
from datetime import UTC, datetime

import msgspec
import psycopg
import psycopg.rows
import pytest

from serving.journal.prediction_table import PredictionTable
from serving.predict.journal_line import PredictionLine, PredictionRecord
from tests.serving.journal.lines import LINE, OF_LISTS, a_log, encoded

pytestmark = pytest.mark.slow


def store(journal, url, *lines):
    for line in lines:
        journal.append(encoded(line))
    log = a_log(journal, url)
    log.start()
    log.stop()
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        rows = connection.execute("select * from ops.predictions order by id").fetchall()
    return [{**row, "id": str(row["id"]), "requested_at": row["requested_at"].astimezone(UTC)} for row in rows]


def test_each_prediction_is_stored_with_its_own_version_and_everything_it_was_made_from(journal, table):
    rows = store(journal, table, LINE)
    stored = [{name: row[name] for name in one} for row, one in zip(rows, LINE["predictions"], strict=True)]
    assert stored == [{**one, "decision": str(one["decision"]).lower()} for one in LINE["predictions"]]
    of_request = ("use_case", "request_id", "caller", "latency_ms")
    assert [[row[name] for name in of_request] for row in rows] == [["parcels", "r-1", "desk", 0.25]] * 2
    assert [row["requested_at"].isoformat() for row in rows] == [LINE["requested_at"]] * 2
    assert journal.backlog().segments == 0


def test_table_open_access_and_baseline_store_null_not_empty_texts(journal, table):
    one = {**LINE["predictions"][0], "alias": "rule", "version": "0", "digest": ""}
    (row,) = store(journal, table, {**LINE, "caller": "", "predictions": [one]})
    assert (row["alias"], row["caller"], row["digest"]) == ("rule", None, None)


def test_every_task_is_stored(journal, table):
    first, second = LINE["predictions"]
    shares = {"on time": 0.25, "spät": 0.75}
    number = {**first, "score": 112.4, "decision": 112.4}
    one_of_two = {**second, "score": 0.75, "decision": "spät", "probabilities": shares}
    for one in (number, one_of_two):
        del one["threshold"]
    rows = store(journal, table, {**LINE, "predictions": [number, one_of_two]})
    assert [(row["score"], row["decision"], row["probabilities"], row["threshold"]) for row in rows] == [
        (112.4, "112.4", None, None),
        (0.75, "spät", shares, None),
    ]


def test_rows_of_line_of_the_service_is_stored_whole(journal, table):
    logged = PredictionRecord(
        id="018f0000-0000-7000-8000-000000000005",
        entity="P-1",
        features={"hour": 19.0, "depot": None},
        score=0.5,
        decision=True,
        threshold=msgspec.UNSET,
        probabilities=msgspec.UNSET,
        version="3",
        alias="shadow",
        digest="",
    )
    now = datetime(2024, 5, 1, 12, tzinfo=UTC)
    line = PredictionLine(
        use_case="parcels", requested_at=now, request_id="r", caller="", latency_ms=0.1, predictions=[logged]
    )
    predictions = PredictionTable(table)
    assert predictions.insert(list(predictions.rows_of(msgspec.json.encode(line) + b"\n"))) == 1
    predictions.close()
    with psycopg.connect(table) as connection:
        row = connection.execute("select entity, features, alias, threshold, caller, digest from ops.predictions").fetchone()
    assert row == ("P-1", {"hour": 19.0, "depot": None}, "shadow", None, None, None)


def test_rows_of_line_of_an_older_version_is_stored(journal, table):
    """Lines had five values, with true or false as the decision, while there was one task."""
    number = ["018f0000-0000-7000-8000-000000000003", None, {"hour": 1}, 112.4, 112.4]
    shares = {"on time": 0.25, "spät": 0.75}
    one_of_two = ["018f0000-0000-7000-8000-000000000004", "P-2", {"hour": 1}, 0.75, "spät", shares]
    for line in (OF_LISTS, *({**OF_LISTS, "threshold": None, "predictions": [entry]} for entry in (number, one_of_two))):
        journal.append(encoded(line))
    log = a_log(journal, table)
    log.start()
    log.stop()
    with psycopg.connect(table) as connection:
        rows = connection.execute(
            "select score, decision, probabilities, threshold from ops.predictions order by id"
        ).fetchall()
    assert rows == [
        (0.75, "true", None, 0.4),
        (0.25, "false", None, 0.4),
        (112.4, "112.4", None, None),
        (0.75, "spät", shares, None),
    ]


def test_a_table_of_an_older_version_is_waited_for_and_nothing_is_set_aside(
    journal, database_url, make_tables, stored, eventually
):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create schema ops")
        connection.execute(
            "create table ops.predictions (id uuid primary key, use_case text not null, version text not null, "
            "requested_at timestamptz not null, entity text, features jsonb not null, score double precision not null, "
            "decision boolean not null, threshold double precision not null, latency_ms double precision not null)"
        )
    late = ["018f0000-0000-7000-8000-000000000004", "P-2", {"hour": 1}, 0.75, "late", {"late": 0.75, "lost": 0.25}]
    for line in (LINE, {**OF_LISTS, "threshold": None, "predictions": [late]}):
        journal.append(encoded(line))
    log = a_log(journal, database_url)
    log.start()
    eventually(lambda: "probabilities" in log.state.trouble)
    make_tables(database_url)
    eventually(lambda: not log.state.trouble)
    log.stop()
    assert len(stored(database_url)) == 3
    assert not (journal.folder / "set_aside.txt").exists()


def test_storing_again_after_a_kill_between_commit_and_removal_doubles_nothing(journal, table, stored):
    rows = PredictionTable(table)
    assert rows.insert(list(rows.rows_of(encoded(LINE)))) == 2
    rows.close()
    journal.append(encoded(LINE))
    log = a_log(journal, table)
    log.start()
    log.stop()
    assert len(stored(table)) == 2
    assert journal.backlog().segments == 0


def test_two_processes_that_store_the_same_rows_do_not_fight(table, stored):
    tables = [PredictionTable(table) for _ in range(4)]
    rows = list(tables[0].rows_of(encoded(LINE)))
    threads = [threading.Thread(target=lambda store=store: [store.insert(rows) for _ in range(20)]) for store in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in tables:
        store.close()
    assert len(stored(table)) == 2


def test_line_that_cannot_be_stored_is_set_aside_and_others_are_stored(journal, table, stored):
    bad = {
        **LINE,
        "predictions": [{**LINE["predictions"][0], "id": "018f0000-0000-7000-8000-000000000009", "entity": "a\0b"}],
    }
    for line in (encoded(LINE), b"not json\n", b'{"predictions": 3}\n', encoded(bad)):
        journal.append(line)
    log = a_log(journal, table)
    log.start()
    log.stop()
    assert len(stored(table)) == 2
    kept = (journal.folder / "set_aside.txt").read_text()
    assert "not json" in kept
    assert log.state.set_aside == 3
    assert "018f0000-0000-7000-8000-000000000009" in kept
    assert journal.backlog().segments == 0
