"""`kill -9` of Airflow's scheduler in mid-search, with or without the tasks that it forked; then it is started again."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.fault_parts.finding import Finding
from benchmarks.fault_parts.gate import gate_before
from benchmarks.fault_parts.search_faults import TRIALS, states
from benchmarks.fault_parts.steps import AS_OF, Place
from benchmarks.fault_parts.world import World, fill, free_port

PROJECT = Path(__file__).resolve().parents[2]
_SOON = {
    # What a scheduler that is gone left is taken over after minutes by default; here one does not want to wait so long.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
}


def scheduler_killed(postgres: Any, mlflow_url: str, *, with_its_tasks: bool) -> Finding:
    """A real run of the training DAG; the scheduler is killed when some trials are over and one runs.

    Args:
        postgres: holds the databases of this case.
        mlflow_url: a server that runs.
        with_its_tasks: kill what the scheduler has forked with it, as a lost machine would; else ask it to end, after.
    """
    from tests.dags.live_airflow import LiveAirflow

    kind = "whole" if with_its_tasks else "alone"
    for database in (f"airflow_{kind}", f"noria_{kind}"):
        postgres.create_database(database)
    with tempfile.TemporaryDirectory(prefix="noria-scheduler-") as folder, gate_before(mlflow_url) as gate:
        home = Path(folder)
        url = postgres.url(f"noria_{kind}")
        world = World(Place(home / "home", home / "use_cases", url, mlflow_url), gate)
        fill(world)
        name = world.a_use_case(f"scheduled_{kind}", schedule=_schedule(), training=_TRAINING)
        airflow = LiveAirflow(_environment(postgres.url(f"airflow_{kind}"), world.place), home, free_port())
        try:
            airflow.start()
            return _disturbed(airflow, world, name, with_its_tasks=with_its_tasks)
        finally:
            airflow.stop()
            world.services.warehouse.close()


_TRAINING = {"trials": TRIALS, "workers": 2, "candidates": ["linear", "gradient_boosting"]}


def _schedule() -> dict[str, str]:
    """Data that have ended, so that nothing starts by itself."""
    return {"data": "@monthly", "train": "0 6 2 */3 *", "start": "2024-01-01", "end": f"{AS_OF:%Y-%m-%d}"}


def _disturbed(airflow: Any, world: World, name: str, *, with_its_tasks: bool) -> Finding:
    dag_id = f"{name}__train"
    airflow.wait(lambda: airflow.call("GET", f"/api/v2/dags/{dag_id}")[0] == 200, "the DAG")
    body = {"logical_date": None, "conf": {"as_of": f"{AS_OF:%Y-%m-%d}"}}
    run = airflow.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)[1]["dag_run_id"]
    airflow.wait(lambda: _in_mid_search(world, name), "the search", pause=0.005, seconds=300)
    began = time.monotonic()
    before = states(world, name)
    _kill_scheduler(airflow, with_its_tasks=with_its_tasks)
    airflow._run("scheduler", "--skip-serve-logs")
    airflow.wait(lambda: airflow.runs(dag_id)[0]["state"] in ("success", "failed"), "the run", pause=1.0, seconds=600)
    seconds = time.monotonic() - began
    tasks = airflow.tasks(dag_id, run)
    killed = (
        "Airflow's scheduler, with every task it had forked"
        if with_its_tasks
        else "Airflow's scheduler; its tasks are ended"
    )
    lost = states(world, name)["FAIL"]
    broken = _broken(world, name, tasks, before["RUNNING"])
    retry = "Airflow ran the tasks again; the run ended, promoted once"
    return Finding("search", killed, 1, lost, seconds, retry, (len(world.versions(name)),), None, broken)


def _in_mid_search(world: World, name: str) -> bool:
    found = states(world, name)
    return found["COMPLETE"] + found["PRUNED"] >= 2 and found["RUNNING"] > 0


def _kill_scheduler(airflow: Any, *, with_its_tasks: bool) -> None:
    """`kill -9`; then end what it had forked, as Noria's stack and a container do before they start another one.

    Idle workers that outlive their scheduler would hold its connections to PostgreSQL open, and with them the row locks of
    whatever it was about to decide: the run would stand still for as long as they live.
    """
    from noria.local import sessions

    scheduler = airflow._processes.pop()
    if with_its_tasks:
        sessions.kill(sessions.members(scheduler.pid))
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.wait()
    sessions.end(sessions.members(scheduler.pid), grace=3.0)


def _broken(world: World, name: str, tasks: Mapping[str, str], running: int) -> tuple[str, ...]:
    """What is not as it should be when the run has ended, after so many trials ran at the kill."""
    found, versions = states(world, name), world.versions(name)
    champion = world.services.registry.champion(name).version
    promoted = [event for event in world.services.audit.events(name) if event.action.value == "promoted"]
    return (
        *(() if set(tasks.values()) == {"success"} else (f"tasks ended as {tasks}",)),
        *(() if len(versions) == 1 else (f"{len(versions)} versions were registered",)),
        *(() if found["COMPLETE"] + found["PRUNED"] == TRIALS else (f"the study ended with {dict(found)}",)),
        *(() if found["FAIL"] <= running else (f"{found['FAIL']} trials lost of {running} that ran",)),
        *(() if champion == "1" and len(promoted) == 1 else (f"champion {champion}, promoted {len(promoted)} times",)),
    )


def _environment(database_url: str, place: Place) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "NORIA_"))}
    return {
        **kept,
        **_SOON,
        "AIRFLOW_HOME": str(place.home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url.replace("postgresql:", "postgresql+psycopg2:"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__MP_START_METHOD": "fork",
        "NORIA_HOME": str(place.home),
        "NORIA_USE_CASES": str(place.use_cases),
        "NORIA_WAREHOUSE_URL": place.warehouse_url,
        "NORIA_MLFLOW_URL": place.mlflow_url,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "config")]),
    }
