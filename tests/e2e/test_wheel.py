"""One turn of the wheel through the real scheduler, and what must hold after it."""

from __future__ import annotations

import io
import re

import httpx
import pytest
from rich.console import Console

from noria.core.base.interval import Interval, parse_instant
from noria.demo.story import Script, Story, StoryOutcome
from noria.jobs import training

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SLICE = Script(
    use_case="flight_delays",
    history=Interval.parse("2013-01-06", "2013-02-03"),
    live=Interval.parse("2013-02-03", "2013-02-10"),
    requests=300,
)
TABLES = ("ops.batch_predictions", "ops.verdicts", "ops.ledger", "features.ftr_flight_delays", "labels.lbl_flight_delays")


@pytest.fixture(scope="module")
def outcome(running_stack, airflow) -> StoryOutcome:
    return Story(SLICE, running_stack, airflow, Console(file=io.StringIO())).tell()


def rows(services, query):
    with services.warehouse.engine.connect() as connection:
        return connection.exec_driver_sql(query).all()


def test_no_request_failed_while_versions_changed(outcome):
    assert outcome.traffic.failed == 0
    assert outcome.traffic.answered >= SLICE.requests
    assert outcome.first.version == "1"


def test_every_acknowledged_prediction_is_in_the_database_once(running_stack, outcome):
    deadline = running_stack.clock.now().timestamp() + 30
    while (logged := rows(running_stack, "select count(*), count(distinct id) from ops.predictions")[0])[0] < (
        outcome.traffic.answered
    ) and running_stack.clock.now().timestamp() < deadline:
        pass
    assert tuple(logged) == (outcome.traffic.answered, outcome.traffic.answered)


def test_each_interval_was_scored_by_a_version_that_had_not_seen_it(running_stack, outcome):
    scored = rows(
        running_stack,
        "select date_trunc('day', min(event_time)) as first, version from ops.batch_predictions"
        " group by date_bin('7 days', event_time, timestamptz '2013-01-06 00:00Z'), version order by 1",
    )
    assert [row.version for row in scored] == ["0", "0", "0", "0", "1"]


def test_each_interval_has_one_run_of_each_kind(airflow, outcome):
    for kind in ("data", "score", "monitor"):
        partitions = [run.partition for run in airflow.runs(f"flight_delays__{kind}")]
        assert len(partitions) == len(set(partitions)) == 5, (kind, partitions)


def test_drift_woke_training_exactly_once_with_its_own_as_of(airflow, outcome):
    woken = [run for run in airflow.runs("flight_delays__train") if run.kind == "asset_triggered"]
    assert [run.partition for run in woken] == [parse_instant("2013-02-10")]


def subjects_of(services) -> list[str]:
    messages = httpx.get(f"http://127.0.0.1:{services.settings.mail_port}/api/messages").json()
    return [message["subject"] for message in messages if "[failed]" not in message["subject"]]


def test_a_version_took_over_in_steps_while_the_other_one_stood_by(running_stack, outcome):
    told = [subject for subject in subjects_of(running_stack) if "version 1" in subject][::-1]
    assert told == [
        "[rollout started] Flight delays, version 1: it answers 20 %",
        "[next step] Flight delays, version 1: it answers 100 %",
        "[completed] Flight delays, version 1: it serves everybody",
    ]
    shared = rows(
        running_stack,
        "select count(*) filter (where alias = 'challenger' and version = '1') as challenger,"
        " count(*) filter (where alias = 'rule') as rule from ops.predictions",
    )[0]
    assert shared.challenger > 50
    assert shared.rule > 50
    assert outcome.traffic.versions["1"] > shared.challenger  # it has been champion since


def test_owners_got_one_mail_for_each_interval(running_stack, outcome):
    subjects = [subject for subject in subjects_of(running_stack) if not re.search(r"version \d+: it", subject)]
    assert len(subjects) == 5, [str(event) for event in running_stack.audit.events("flight_delays")]


def test_the_audit_trail_verifies(running_stack, outcome):
    running_stack.audit.verify()
    assert [event.version for event in running_stack.audit.events("flight_delays")][:1] == ["1"]


def test_running_an_interval_again_changes_nothing(running_stack, airflow, outcome):
    use_case = running_stack.catalog.get("flight_delays")
    first_week = use_case.schedule.data.interval_starting(SLICE.history.start)

    def state():
        counts = [rows(running_stack, f"select count(*) from {table}")[0][0] for table in TABLES]
        return counts, training.take_snapshot(running_stack, use_case, SLICE.history.end).digest

    before = state()
    airflow.backfill("flight_delays__data", [first_week], max_active_runs=1, reprocess="completed")
    airflow.wait(
        lambda: [run for kind in ("data", "score", "monitor") for run in airflow.runs(f"flight_delays__{kind}")],
        expected=17,
        what="running the first week again",
    )
    assert state() == before
