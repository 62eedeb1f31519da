"""The contract of the VerdictStore port, held against the fake and against PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from noria.core.base.errors import NoriaError
from noria.core.lifecycle.drift_report import LedgerEntry
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import PastVerdict
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.verdicts import PostgresVerdictStore
from noria.ports.verdict_store import LedgerRow, RetrainRequest, VerdictStore
from noria.testing.builders import a_use_case
from noria.testing.fakes.verdict_store import InMemoryVerdictStore
from tests.contracts.stores import REFUSED
from tests.jobs.in_memory.parcels import day
from tests.monitoring.conftest import an_assessment

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> Iterator[VerdictStore]:
    if request.param == "memory":
        yield InMemoryVerdictStore()
        return
    warehouse = Warehouse(request.getfixturevalue("warehouse_url"))
    yield PostgresVerdictStore(warehouse)
    warehouse.close()


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path)


def a_day(number: int, verdict: Verdict = Verdict.DRIFT, value: float = 10.0):
    money = LedgerEntry(currency="EUR", decisions=9, labelled=9, value=value, baseline_value=1.0, cost=0.5)
    return an_assessment(start=day(number).start, end=day(number).end, verdict=verdict, money=money)


def requests(store, use_case):
    with store.requests(use_case, exclusively=False) as book:
        return book.all()


def test_record_comes_back_as_it_was(store, use_case):
    store.record(a_day(0), "reports/drift.html", NOW)
    found = store.read(use_case, day(0))
    assert (found.assessment, found.report) == (a_day(0), "reports/drift.html")


def test_record_again_replaces_verdict_and_ledger(store, use_case):
    store.record(a_day(0), "", NOW)
    store.record(a_day(0, Verdict.STABLE, value=20.0), "again", NOW)
    assert store.read(use_case, day(0)).assessment.verdict is Verdict.STABLE
    assert store.ledger(use_case, day(0).end, 9) == (LedgerRow(day(0).start, "3", 20.0, 1.0, 0.5),)


def test_read_without_a_verdict_is_an_error(store, use_case):
    with pytest.raises(NoriaError, match="there is no verdict on parcels"):
        store.read(use_case, day(0))


def test_ledger_gives_the_last_lines_that_have_ended_oldest_first(store, use_case):
    for number in (2, 0, 1, 3):
        store.record(a_day(number), "", NOW)
    assert [line.start for line in store.ledger(use_case, day(2).end, 2)] == [day(1).start, day(2).start]
    assert store.ledger(use_case, day(0).start, 9) == ()


def test_past_verdicts_begin_at_an_instant_oldest_first(store, use_case):
    for number in (2, 0, 1):
        store.record(a_day(number), "", NOW)
    with store.requests(use_case, exclusively=False) as book:
        assert book.past_verdicts(day(1).start) == tuple(PastVerdict(day(n), "3", Verdict.DRIFT) for n in (1, 2))


def test_requests_that_were_added_are_kept_oldest_first(store, use_case):
    for number in (1, 0):
        with store.requests(use_case, exclusively=True) as book:
            book.add(day(number).end, reason="drift", run_id=f"run-{number}", now=NOW)
    assert requests(store, use_case) == tuple(RetrainRequest(day(n).end, f"run-{n}", "drift") for n in (0, 1))


def test_requests_of_a_block_with_an_exception_are_not_kept(store, use_case):
    with pytest.raises(ZeroDivisionError), store.requests(use_case, exclusively=True) as book:
        book.add(day(0).end, reason=str(1 / 0), run_id="run", now=NOW)
    assert requests(store, use_case) == ()


def test_a_second_request_of_an_instant_is_refused(store, use_case):
    for _ in range(2):
        with store.requests(use_case, exclusively=True) as book:
            if not book.all():
                book.add(day(0).end, reason="drift", run_id="run", now=NOW)
                continue
            with pytest.raises(REFUSED):
                book.add(day(0).end, reason="drift", run_id="another", now=NOW)
    assert [request.run_id for request in requests(store, use_case)] == ["run"]


def test_requests_of_another_use_case_are_not_seen(store, use_case, tmp_path):
    with store.requests(use_case, exclusively=True) as book:
        book.add(day(0).end + timedelta(days=1), reason="drift", run_id="run", now=NOW)
    assert requests(store, a_use_case(tmp_path, name="letters")) == ()
