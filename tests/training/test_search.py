"""The search with real PostgreSQL, real processes and a real kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from noria.core.errors import NoriaError, NotEnoughDataError
from noria.training import study as study_module
from noria.training.search import best_trial, run_worker, search_folds
from noria.training.study import Desk, open_study
from tests.training.conftest import parcels

WORKER = """
import json, os, sys, time
from pathlib import Path
import noria.training.search as search
from noria.core.catalog import load_use_case
from noria.core.results import SnapshotRef

folder, snapshot, worker, url, hang_in = sys.argv[1:6]
use_case = load_use_case(Path(folder) / "parcels" / "use_case.yaml")
original, calls = search._Search.run, 0

def run(self, trial):
    global calls
    calls += 1
    if calls == int(hang_in):
        trial.suggest_categorical("candidate", list(use_case.training.candidates))
        Path(folder, "hanging").write_text(str(trial.number))
        time.sleep(600)
    original(self, trial)

search._Search.run = run
Path(folder, f"ready-{worker}").touch()
while not Path(folder, "go").exists():
    time.sleep(0.01)
result = search.run_worker(use_case, SnapshotRef.model_validate_json(snapshot), int(worker), storage_url=url)
print(result.model_dump_json())
"""


def start_worker(folder: Path, snapshot, worker: int, url: str, hang_in: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), snapshot.model_dump_json(), str(worker), url, str(hang_in)]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, "the worker ended early"
        time.sleep(0.02)


def states(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("select state::text, count(*) from optuna.trials group by 1").fetchall())


def test_a_search_tries_every_kind_of_model_and_stops_at_its_trials(use_case, snapshot, searched_url):
    with open_study(use_case, snapshot, searched_url, seed=0) as study:
        tried = {trial.params["candidate"] for trial in study.trials}
        assert tried == {"linear", "gradient_boosting"}
        assert len(study.trials) == 6
    best = best_trial(use_case, snapshot, searched_url)
    assert best.value > 0.4  # three in ten parcels are late
    assert best.candidate in tried


def test_a_second_call_goes_on_with_the_same_study(use_case, snapshot, searched_url):
    again = run_worker(use_case, snapshot, 1, storage_url=searched_url)
    assert again.trials == 0
    assert again.best_value == best_trial(use_case, snapshot, searched_url).value


def test_another_specification_is_another_study(use_case, snapshot, searched_url, tmp_path):
    changed = parcels(tmp_path, training={"seed": 8})
    with pytest.raises(NotEnoughDataError, match="no completed trial: run the search step first"):
        best_trial(changed, snapshot, searched_url)


def test_folds_lie_before_the_evaluation_slice_and_roll_forward(use_case, rows):
    older, newer = search_folds(use_case, rows)
    assert older.window.end <= newer.window.start
    assert len(older.training) < len(newer.training)
    end = int(rows.times[-1]) / 1e6
    assert newer.window.end.timestamp() < end - 20 * 86_400


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
    use_case = parcels(tmp_path)
    (tmp_path / "go").touch()
    worker = start_worker(tmp_path, snapshot, 0, database_url, hang_in=3)
    wait_for(tmp_path / "hanging", worker)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert states(database_url) == {"COMPLETE": 2, "RUNNING": 1}

    resumed = run_worker(use_case, snapshot, 1, storage_url=database_url)
    assert resumed.trials == 4
    interrupted = int((tmp_path / "hanging").read_text())
    with open_study(use_case, snapshot, database_url, seed=0) as study:
        assert [trial.number for trial in study.trials if trial.state.name == "FAIL"] == [interrupted]
        (again,) = [trial for trial in study.trials if trial.user_attrs.get("attempt") == 1]
        assert again.params["candidate"] == study.trials[interrupted].params["candidate"]
        assert sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials) == 6


def test_a_trial_that_keeps_killing_its_worker_is_given_up(use_case, snapshot, database_url):
    with open_study(use_case, snapshot, database_url, seed=0) as study:
        for _ in range(4):
            with Desk(study, database_url, 0) as desk:
                trial = desk.next_trial(100, ("linear",))
                trial.suggest_categorical("candidate", ["linear"])
        with Desk(study, database_url, 1) as desk:
            desk.next_trial(100, ("linear",))
        attempts = [trial.user_attrs.get("attempt", 0) for trial in study.trials if trial.state.name == "FAIL"]
    assert attempts == [0, 1, 2, 0]


def test_a_trial_of_a_living_worker_is_left_alone(use_case, snapshot, database_url):
    with open_study(use_case, snapshot, database_url, seed=0) as study, Desk(study, database_url, 0) as first:
        running = first.next_trial(100, ("linear",))
        with Desk(study, database_url, 1) as second:
            other = second.next_trial(100, ("linear",))
        assert other.number != running.number
        assert study.trials[running.number].state.name == "RUNNING"
        study.tell(running, 0.5)


def test_the_same_worker_twice_at_once_is_refused(use_case, snapshot, database_url, monkeypatch):
    monkeypatch.setattr(study_module, "TAKEOVER_SECONDS", 0.0)
    with open_study(use_case, snapshot, database_url, seed=0) as study, Desk(study, database_url, 0):
        with pytest.raises(NoriaError, match=r"search worker 0 .* is already at work"), Desk(study, database_url, 0):
            pass
        with Desk(study, database_url, 1):
            pass


def test_time_that_runs_out_in_a_trial_gives_that_trial_up(use_case, snapshot, database_url, rows):
    from noria.training.candidate import Effort
    from noria.training.search import _Search

    with open_study(use_case, snapshot, database_url, seed=0) as study, Desk(study, database_url, 0) as desk:
        search = _Search(use_case, study, search_folds(use_case, rows), Effort(7, 1), lambda: True)
        search.run(desk.next_trial(6, ("linear",)))
        assert next(trial.state.name for trial in study.trials) == "PRUNED"


def test_time_that_is_up_still_gives_one_trial(snapshot, database_url, tmp_path):
    hurried = parcels(tmp_path, training={"minutes": 1e-6})
    result = run_worker(hurried, snapshot, 0, storage_url=database_url)
    assert result.trials == 1
    assert result.best_value is not None
