"""Which runs a real scheduler makes: by backfill, by event, by hand; for which interval; and what they wake."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from noria.local.postgres import PostgresServer
from noria.testing.builders import write_use_case
from noria.testing.free_ports import free_port
from noria.testing.live_airflow import LiveAirflow
from tests.conftest import PROJECT
from tests.notify.catcher import Catcher, mail_catcher

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

MONTHS = [f"2013-{month:02}-01" for month in range(1, 4)]
DAGS = {kind: f"parcels__{kind}" for kind in ("data", "score", "monitor", "train")}


class LiveUseCase:
    """A running Airflow with one use case whose data ended in March 2013."""

    def __init__(self, airflow: LiveAirflow, home: Path, mailbox: Catcher) -> None:
        self.airflow = airflow
        self.home = home
        self.mailbox = mailbox

    def calls(self) -> list[tuple[str, str]]:
        path = self.home / "calls.jsonl"
        return [(job, about) for job, about in map(json.loads, path.read_text().splitlines())] if path.exists() else []

    def counts(self) -> dict[str, int]:
        return {kind: len(self.airflow.runs(dag_id)) for kind, dag_id in DAGS.items()}

    def settle(self) -> None:
        self.airflow.settle(*DAGS.values())

    def backfill(self, kind: str, behavior: str = "none", *, dry_run: bool = False) -> tuple[int, Any]:
        return self.airflow.call(
            "POST",
            f"/api/v2/backfills{'/dry_run' if dry_run else ''}",
            {
                "dag_id": DAGS[kind],
                "from_date": "2012-12-15T00:00:00Z",
                "to_date": "2013-12-31T00:00:00Z",
                "max_active_runs": 3,
                "reprocess_behavior": behavior,
            },
        )

    def trigger(self, kind: str, **body: object) -> tuple[int, Any]:
        return self.airflow.call("POST", f"/api/v2/dags/{DAGS[kind]}/dagRuns", {"logical_date": None, **body})

    def clear(self, kind: str, run_id: str, *, only_failed: bool) -> None:
        body = {"dry_run": False, "only_failed": only_failed}
        status, answer = self.airflow.call("POST", f"/api/v2/dags/{DAGS[kind]}/dagRuns/{run_id}/clear", body)
        assert status == 200, answer


@pytest.fixture(scope="module")
def stage(
    postgres: PostgresServer,
    migrated_database: str,
    airflow_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LiveUseCase]:
    folder = tmp_path_factory.mktemp("stage")
    schedule = {"data": "@monthly", "train": "0 6 2 */3 *", "start": "2013-01-01", "end": "2013-04-01"}
    write_use_case(folder / "use_cases", name="parcels", schedule=schedule)
    write_use_case(folder / "use_cases", name="asked", schedule=schedule, approval="manual")
    write_use_case(folder / "use_cases", name="stepped", schedule=schedule, rollout={"bake": "20s"})
    (folder / "noria").mkdir()
    postgres.create_database("airflow_stage")
    postgres.create_database("noria_stage", template=migrated_database)
    stand_ins = Path(__file__).with_name("stand_ins")
    project = PROJECT
    environment = {
        **airflow_environment,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("airflow_stage").replace("postgresql:", "postgresql+psycopg2:"),
        "NORIA_HOME": str(folder / "noria"),
        "NORIA_USE_CASES": str(folder / "use_cases"),
        "NORIA_WAREHOUSE_URL": postgres.url("noria_stage"),
        "PYTHONPATH": f"{stand_ins}:{project}:{project / 'plugins'}",
    }
    with mail_catcher(folder / "mail") as mailbox:
        airflow = LiveAirflow({**environment, "NORIA_SMTP_PORT": str(mailbox.smtp_port)}, folder, free_port())
        try:
            airflow.start()
            airflow.wait(lambda: len(airflow.call("GET", "/api/v2/dags")[1]["dags"]) == 12, "the DAGs")
            yield LiveUseCase(airflow, folder / "noria", mailbox)
        finally:
            airflow.stop()
            for database in ("airflow_stage", "noria_stage"):
                postgres.drop_database(database)


def test_the_pipelines_of_one_use_case(stage: LiveUseCase) -> None:
    """One story, since each step starts from what the one before left."""
    airflow = stage.airflow

    # Nothing starts by itself for data that has ended, although nothing is paused.
    assert stage.counts() == {"data": 0, "score": 0, "monitor": 0, "train": 0}

    # A backfill of the data brings each interval's scores and verdict once, and February wakes training once.
    status, answer = stage.backfill("data")
    assert status == 200, answer
    airflow.wait(lambda: len(airflow.runs(DAGS["train"])) == 1, "training")
    stage.settle()
    for kind in ("data", "score", "monitor"):
        assert airflow.partitions(DAGS[kind]) == Counter(MONTHS), kind
    assert airflow.partitions(DAGS["train"]) == Counter(["2013-03-01"])
    calls = Counter(stage.calls())
    assert calls["transform", "[2013-02-01, 2013-03-01)"] == 1
    assert calls["notify", "[2013-03-01, 2013-04-01)"] == 1
    assert calls["take_snapshot", "2013-03-01"] == 1
    assert calls["search", "0"] == calls["search", "1"] == 1
    promotions = [about for job, about in stage.calls() if job == "promote"]
    assert len(promotions) == calls["nominate", "1"] == 1
    assert promotions[0].startswith("airflow, : ")
    assert promotions[0].endswith(": 2 of 3 say drift; roc_auc 0.71")

    # The same backfill again would make nothing; scores can be backfilled alone, and bring their verdicts.
    assert stage.backfill("data", dry_run=True) == (200, {"backfills": [], "total_entries": 0})
    assert stage.backfill("score", "completed")[0] == 200
    airflow.wait(lambda: len(airflow.runs(DAGS["monitor"])) == 6, "verdicts")
    stage.settle()
    assert airflow.partitions(DAGS["score"]) == Counter(MONTHS * 2)
    assert airflow.partitions(DAGS["monitor"]) == Counter(MONTHS * 2)
    assert stage.counts() == {"data": 3, "score": 6, "monitor": 6, "train": 1}


def test_one_interval_again_after_a_failed_expectation(stage: LiveUseCase) -> None:
    airflow, switch = stage.airflow, stage.home / "bad_raw"
    before = stage.counts()
    switch.touch()
    _, run = stage.trigger("data", partition_key="2013-02-01")
    stage.settle()
    states = airflow.tasks(DAGS["data"], run["dag_run_id"])
    assert states == {
        "ingest": "success",
        "validate_raw": "failed",  # at once: a second try would find the same rows
        "transform": "upstream_failed",
        "validate_features": "upstream_failed",
    }
    assert stage.counts() == before | {"data": before["data"] + 1}

    airflow.wait(lambda: bool(stage.mailbox.messages()), "the mail to the owner")
    assert [mail["subject"] for mail in stage.mailbox.messages()] == [
        "[failed] parcels__data of 2013-02-01: Warn customers of a late parcel"
    ]

    switch.unlink()
    stage.clear("data", run["dag_run_id"], only_failed=True)
    airflow.wait(lambda: len(airflow.runs(DAGS["monitor"])) > before["monitor"], "the verdict")
    stage.settle()
    assert stage.counts() == before | {kind: before[kind] + 1 for kind in ("data", "score", "monitor")}
    assert airflow.partitions(DAGS["data"])["2013-02-01"] == 2


@pytest.mark.parametrize(
    ("key", "says"), [("2013-02-02", "starts at 2013-02-01"), ("2013-2-1", "must be written"), ("2014-02-01", "not part of")]
)
def test_a_wrong_interval_is_refused_when_it_is_asked_for(stage: LiveUseCase, key: str, says: str) -> None:
    status, answer = stage.trigger("data", partition_key=key)
    assert status == 400
    assert says in answer["detail"]


def test_a_model_that_fails_a_gate_is_not_promoted(stage: LiveUseCase) -> None:
    switch = stage.home / "bad_model"
    switch.touch()
    _, run = stage.trigger("train", conf={"as_of": "2013-02-20"})
    stage.settle()
    switch.unlink()
    states = stage.airflow.tasks(DAGS["train"], run["dag_run_id"])
    assert (states["fit_and_register"], states["check_gates"], states["promote"]) == ("success", "skipped", "skipped")
    assert ("take_snapshot", "2013-02-20") in stage.calls()


class Question:
    """A run of `asked__train` that waits for a person; started by hand, or by an event as monitoring sends it."""

    dag_id = "asked__train"

    def __init__(self, stage: LiveUseCase, *, reason: str = "") -> None:
        self.airflow = stage.airflow
        before = {run["dag_run_id"] for run in self.airflow.runs(self.dag_id)}
        if reason:
            assets = self.airflow.call("GET", "/api/v2/assets?uri_pattern=noria://asked/retrain")[1]["assets"]
            event = {"asset_id": assets[0]["id"], "partition_key": "2013-03-01", "extra": {"reason": reason}}
            assert self.airflow.call("POST", "/api/v2/assets/events", event)[0] == 200
        else:
            stage.airflow.call(
                "POST", f"/api/v2/dags/{self.dag_id}/dagRuns", {"logical_date": None, "partition_key": "2013-03-01"}
            )
        self.airflow.wait(lambda: len(self.airflow.runs(self.dag_id)) > len(before), "the run")
        (self.run_id,) = {run["dag_run_id"] for run in self.airflow.runs(self.dag_id)} - before
        self.question = f"/api/v2/dags/{self.dag_id}/dagRuns/{quote(self.run_id)}/taskInstances/approve/-1/hitlDetails"
        self.airflow.wait(lambda: self.states()["approve"] == "awaiting_input", "the question")

    def states(self) -> dict[str, str]:
        return self.airflow.tasks(self.dag_id, self.run_id)

    def answer(self, option: str, reason: str, task: str, state: str) -> None:
        def done() -> bool:
            # Airflow asks again, by a retry, when the answer comes before it has noted that the question was put.
            if self.states()["approve"] == "awaiting_input":
                self.airflow.call("PATCH", self.question, {"chosen_options": [option], "params_input": {"reason": reason}})
            return self.states()[task] == state

        self.airflow.wait(done, f"{task} to be {state}")


def test_person_who_asked_cannot_approve(stage: LiveUseCase) -> None:
    asked = Question(stage)
    body = stage.airflow.call("GET", asked.question)[1]["body"]
    assert "roc_auc 0.71" in body
    assert "/#/models/asked/versions/1" in body
    subjects = [mail["subject"] for mail in stage.mailbox.messages()]
    assert "[please decide] asked version 1: Warn customers of a late parcel" in subjects
    asked.answer("Approve", "looks good", "promote", "failed")
    assert stage.calls()[-1] == ("refuse", "Anonymous, Anonymous: planned; roc_auc 0.71; looks good")


def test_a_no_fails_the_run_with_its_reason_and_is_written_down(stage: LiveUseCase) -> None:
    asked = Question(stage)
    asked.answer("Reject", "Newark looks odd", "approve", "failed")
    stage.airflow.settle(asked.dag_id)
    assert asked.states()["promote"] == "upstream_failed"
    assert stage.calls()[-1] == ("reject", "Anonymous: version 1: Newark looks odd")


def test_what_an_event_started_is_approved_by_a_person_who_is_named(stage: LiveUseCase) -> None:
    asked = Question(stage, reason="2 of 3 say drift")
    asked.answer("Approve", "looks good", "promote", "success")
    assert stage.calls()[-1] == ("promote", "airflow, Anonymous: 2 of 3 say drift; roc_auc 0.71; looks good")


def roll_out(stage: LiveUseCase) -> str:
    """A training run of the use case whose versions take over in steps; returns its id when nothing more happens."""
    path, body = "/api/v2/dags/stepped__train/dagRuns", {"logical_date": None, "partition_key": "2013-03-01"}
    status, run = stage.airflow.call("POST", path, body)
    assert status == 200, run
    stage.airflow.settle("stepped__train")
    return str(run["dag_run_id"])


def test_a_rollout_is_waited_for_and_announced_when_it_has_won(stage: LiveUseCase) -> None:
    states = stage.airflow.tasks("stepped__train", roll_out(stage))
    assert (states["start_rollout"], states["await_rollout"]) == ("success", "success")
    assert "promote" not in states
    assert stage.calls()[-3:] == [
        ("start_rollout", "1: planned; roc_auc 0.71"),
        ("advance_rollout", "first"),
        ("advance_rollout", "again"),
    ]
    events = stage.airflow.call("GET", "/api/v2/assets/events?source_dag_id=stepped__train")[1]["asset_events"]
    assert [event["extra"]["version"] for event in events] == ["1"]


def test_challenger_that_is_rolled_back_fails_the_run(stage: LiveUseCase) -> None:
    (stage.home / "bad_challenger").touch()
    run_id = roll_out(stage)
    assert stage.airflow.tasks("stepped__train", run_id)["await_rollout"] == "failed"
    assert stage.calls()[-2:] == [("advance_rollout", "first"), ("advance_rollout", "again")]  # and not once more
    stage.airflow.wait(
        lambda: any("[failed] stepped__train" in mail["subject"] for mail in stage.mailbox.messages()), "the mail"
    )
    events = stage.airflow.call("GET", "/api/v2/assets/events?source_dag_id=stepped__train")[1]["asset_events"]
    assert len(events) == 1  # of the one before
