"""The shared study with real PostgreSQL, real processes, a real kill -9 and a real restart of the server."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from noria.core.base.errors import NoriaError
from noria.local.postgres import PostgresServer
from noria.testing.free_ports import free_port
from noria.testing.postgres import kill_postgres
from noria.training.search import storage
from noria.training.search.budget import SearchLimits
from noria.training.search.interrupted import MAX_RETRIES
from noria.training.search.plan import SearchPlan, search_plan
from noria.training.search.replay import cut_short, differences, search_again
from noria.training.search.selection import best_trial
from noria.training.search.study import open_study
from noria.training.search.trial_queue import TrialQueue
from noria.training.search.worker import run_worker
from noria.training.search.worker_lock import WorkerLock
from tests.conftest import PROJECT
from tests.training.conftest import parcels

pytestmark = pytest.mark.slow

WORKER = """
import json, os, sys, time
from pathlib import Path
import noria.training.search.worker as search
import noria.training.search.trial as trial_module
from noria.io.catalog import load_use_case
from noria.core.base.results import SnapshotRef

folder, snapshot, worker, url, hang_in = sys.argv[1:6]
go_on = Path(folder, "go-on")
use_case = load_use_case(Path(folder) / "parcels" / "use_case.yaml")
original, calls = trial_module.TrialRunner.run, 0

def run(self, trial):
    global calls
    calls += 1
    if calls == int(hang_in):
        trial.suggest_categorical("candidate", list(use_case.training.candidates))
        Path(folder, "hanging").write_text(str(trial.number))
        while not go_on.exists():
            time.sleep(0.02)
    original(self, trial)

trial_module.TrialRunner.run = run
Path(folder, f"ready-{worker}").touch()
while not Path(folder, "go").exists():
    time.sleep(0.01)
result = search.run_worker(use_case, SnapshotRef.model_validate_json(snapshot), int(worker), storage_url=url)
print(result.model_dump_json())
"""


def start_worker(folder: Path, snapshot, worker: int, url: str, hang_in: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), snapshot.model_dump_json(), str(worker), url, str(hang_in)]
    root = PROJECT
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, "the worker ended early"
        time.sleep(0.02)


def endless(use_case, snapshot) -> SearchPlan:
    """A plan of more trials than a test runs."""
    return replace(search_plan(use_case, snapshot), limits=SearchLimits(trials=100))


@contextlib.contextmanager
def queue_of(plan: SearchPlan, study, url: str, worker: int, **how) -> Iterator[TrialQueue]:
    """The queue of a worker that holds its lock."""
    with WorkerLock(plan.study, worker, url, **how) as lock:
        yield TrialQueue(plan, study, lock)


def states(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("select state::text, count(*) from optuna.trials group by 1").fetchall())


def test_two_processes_share_one_study_from_an_empty_database(snapshot, database_url, tmp_path):
    parcels(tmp_path, training={"trials": 10})
    workers = [start_worker(tmp_path, snapshot, number, database_url) for number in (0, 1)]
    for number, worker in enumerate(workers):
        wait_for(tmp_path / f"ready-{number}", worker)
    (tmp_path / "go").touch()
    results = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    assert sum(result["trials"] for result in results) == 10
    assert all(result["trials"] for result in results)
    assert len({result["study"] for result in results}) == 1
    assert sum(states(database_url).values()) == 10
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) from optuna.studies").fetchone() == (1,)


def test_kill_9_costs_one_trial_which_is_tried_again(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"trials": 8})
    (tmp_path / "go").touch()
    worker = start_worker(tmp_path, snapshot, 0, database_url, hang_in=6)  # the first that is drawn
    wait_for(tmp_path / "hanging", worker)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert states(database_url) == {"COMPLETE": 5, "RUNNING": 1}

    resumed = run_worker(use_case, snapshot, 1, storage_url=database_url)
    assert resumed.trials == 3
    interrupted = int((tmp_path / "hanging").read_text())
    with open_study(search_plan(use_case, snapshot), database_url) as study:
        assert [trial.number for trial in study.trials if trial.state.name == "FAIL"] == [interrupted]
        (again,) = [trial for trial in study.trials if trial.user_attrs.get("attempt") == 1]
        assert again.params["candidate"] == study.trials[interrupted].params["candidate"]
        assert sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials) == 8


def test_trial_that_kills_its_workers_is_offered_again_after_others(use_case, snapshot, database_url):
    plan = endless(use_case, snapshot)
    defaults = replace(plan, initial=plan.initial[:2])
    with open_study(defaults, database_url) as study:
        for _ in range(4):
            with queue_of(defaults, study, database_url, 0) as queue:
                queue.next_trial().suggest_categorical("candidate", ["linear", "gradient_boosting"])
        with queue_of(defaults, study, database_url, 1) as queue:
            queue.next_trial()
        failed = [trial for trial in study.trials if trial.state.name == "FAIL"]
    # Offered again behind what was enqueued before it: both defaults come up in turn.
    attempts = [(trial.system_attrs["fixed_params"]["candidate"], trial.user_attrs.get("attempt", 0)) for trial in failed]
    assert attempts == [("linear", 0), ("gradient_boosting", 0), ("linear", 1), ("gradient_boosting", 1)]


def test_a_trial_is_offered_again_so_often_and_no_more(snapshot, database_url, tmp_path):
    plan = endless(parcels(tmp_path, training={"candidates": ["dummy"]}), snapshot)
    with open_study(plan, database_url) as study:
        tried = 0
        while True:
            with queue_of(plan, study, database_url, 0) as queue:
                if queue.next_trial() is None:
                    break
                tried += 1
        assert tried == 1 + MAX_RETRIES


def test_a_trial_of_a_living_worker_is_left_alone(use_case, snapshot, database_url):
    plan = endless(use_case, snapshot)
    with open_study(plan, database_url) as study, queue_of(plan, study, database_url, 0) as first:
        running = first.next_trial()
        with queue_of(plan, study, database_url, 1) as second:
            other = second.next_trial()
        assert other.number != running.number
        assert study.trials[running.number].state.name == "RUNNING"
        study.tell(running, 0.5)


def test_the_same_worker_twice_at_once_is_refused(use_case, snapshot, database_url):
    plan = endless(use_case, snapshot)
    with open_study(plan, database_url) as study, queue_of(plan, study, database_url, 0):
        with (
            pytest.raises(NoriaError, match=r"search worker 0 .* is already at work"),
            queue_of(plan, study, database_url, 0, takeover_seconds=0.0),
        ):
            pass
        with queue_of(plan, study, database_url, 1):
            pass


@pytest.fixture
def own_server(tmp_path):
    """A PostgreSQL server that a test may stop and kill."""
    server = PostgresServer(tmp_path / "postgres", free_port())
    server.start()  # durable: what was committed must outlive a kill
    server.create_database("search")
    yield server
    server.stop()


@pytest.mark.parametrize("end", ["restart", "kill -9"])
def test_a_server_that_goes_away_in_mid_search_costs_nothing(snapshot, own_server, tmp_path, end):
    use_case = parcels(tmp_path, training={"trials": 4})
    url = own_server.url("search")
    (tmp_path / "go").touch()
    worker = start_worker(tmp_path, snapshot, 0, url, hang_in=2)
    wait_for(tmp_path / "hanging", worker)
    if end == "restart":
        own_server.stop()
    else:
        kill_postgres(own_server)
    (tmp_path / "go-on").touch()  # the worker finds that its connections are gone
    time.sleep(1)
    own_server.start()
    result = json.loads(worker.communicate(timeout=180)[0])
    assert result["trials"] == 4
    assert sum(states(url).values()) == 4
    assert set(states(url)) <= {"COMPLETE", "PRUNED"}
    assert best_trial(use_case, snapshot, url).trials >= 2


def test_unreachable_server_raises_noria_error():
    def ask() -> None:
        psycopg.connect(f"postgresql://nobody@127.0.0.1:{free_port()}/search").close()

    with pytest.raises(NoriaError, match=r"PostgreSQL cannot be reached .* it goes on where it stopped"):
        storage.patiently(ask, seconds=0.0)


def test_refused_statement_is_not_retried(database_url):
    tries = []

    def ask() -> None:
        tries.append(1)
        with psycopg.connect(database_url) as connection:
            connection.execute("select nonsense")

    with pytest.raises(psycopg.errors.UndefinedColumn):
        storage.patiently(ask)
    assert len(tries) == 1


def test_one_worker_draws_the_same_trials_again_to_the_last_digit(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"trials": 14, "candidates": ["dummy", "linear", "gradient_boosting"]})
    champion = {"candidate": "linear", "linear_c": "0.5"}
    run_worker(use_case, snapshot, 0, storage_url=database_url, warm_start=champion)
    first = best_trial(use_case, snapshot, database_url)
    again = search_again(use_case, snapshot, database_url)
    assert differences(first, again) == ()
    assert again.study == f"{first.study}/again"
    assert not cut_short(use_case, snapshot, database_url)
    plan = search_plan(use_case, snapshot)
    with (
        open_study(plan, database_url) as one,
        open_study(replace(plan, study=again.study), database_url) as other,
    ):
        assert len(one.trials) == len(other.trials) == 14
        for trial, replayed in zip(one.trials, other.trials, strict=True):
            assert trial.params == replayed.params
            assert trial.values == replayed.values
            assert trial.state == replayed.state
            assert trial.intermediate_values == replayed.intermediate_values


def test_interrupted_search_draws_the_same_trials(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"trials": 8, "candidates": ["linear"]})
    (tmp_path / "go").touch()
    worker = start_worker(tmp_path, snapshot, 0, database_url, hang_in=4)
    wait_for(tmp_path / "hanging", worker)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    run_worker(use_case, snapshot, 0, storage_url=database_url)
    with open_study(search_plan(use_case, snapshot), database_url) as study:
        done = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert len(done) == 8
    assert len({tuple(trial.params.items()) for trial in done}) == 8


def test_differences_name_value_and_hyperparameter(use_case, snapshot, searched_url):
    best = best_trial(use_case, snapshot, searched_url)
    other = replace(best, value=best.value + 1e-16 + 1e-9, params={**best.params, "linear_c": -1.0})
    assert [line.split(":")[0] for line in differences(best, other)] == ["value", "linear_c"]
