"""SIGKILL to Airflow's scheduler in mid-search, with or without its tasks; then it starts again."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.shared.folders import PROJECT
from benchmarks.training_faults.finding import Finding
from benchmarks.training_faults.job_process import AS_OF, PipelineEnvironment
from benchmarks.training_faults.mlflow_proxy import proxy_for
from benchmarks.training_faults.sandbox import Sandbox, fill
from benchmarks.training_faults.search import TRIALS, states
from noria.local import sessions
from noria.local.postgres import PostgresServer
from noria.testing.free_ports import free_port
from noria.testing.live_airflow import LiveAirflow

_SOON = {
    # By default, minutes pass before tasks of a dead scheduler are adopted.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
}


def scheduler_killed(postgres: PostgresServer, mlflow_url: str, *, with_its_tasks: bool) -> Finding:
    """A real run of the training DAG; the scheduler is killed when some trials are over and one runs.

    Args:
        postgres: holds the databases of this case.
        mlflow_url: of a running server.
        with_its_tasks: kill the scheduler's children with it, as a lost machine would; else SIGTERM ends them afterwards.
    """
    kind = "whole" if with_its_tasks else "alone"
    for database in (f"airflow_{kind}", f"noria_{kind}"):
        postgres.create_database(database)
    with tempfile.TemporaryDirectory(prefix="noria-scheduler-") as folder, proxy_for(mlflow_url) as proxy:
        home = Path(folder)
        url = postgres.url(f"noria_{kind}")
        sandbox = Sandbox(PipelineEnvironment(home / "home", home / "use_cases", url, mlflow_url), proxy)
        fill(sandbox)
        name = sandbox.a_use_case(f"scheduled_{kind}", schedule=_schedule(), training=_TRAINING)
        airflow = LiveAirflow(_environment(postgres.url(f"airflow_{kind}"), sandbox.environment), home, free_port())
        try:
            airflow.start()
            return _disturbed(airflow, sandbox, name, with_its_tasks=with_its_tasks)
        finally:
            airflow.stop()
            sandbox.services.warehouse.close()


_TRAINING = {"trials": TRIALS, "workers": 2, "candidates": ["linear", "gradient_boosting"]}


def _schedule() -> dict[str, str]:
    """A schedule whose end is past, so that no run starts by itself."""
    return {"data": "@monthly", "train": "0 6 2 */3 *", "start": "2024-01-01", "end": f"{AS_OF:%Y-%m-%d}"}


def _disturbed(airflow: LiveAirflow, sandbox: Sandbox, name: str, *, with_its_tasks: bool) -> Finding:
    dag_id = f"{name}__train"
    airflow.wait(lambda: airflow.call("GET", f"/api/v2/dags/{dag_id}")[0] == 200, "the DAG")
    body = {"logical_date": None, "conf": {"as_of": f"{AS_OF:%Y-%m-%d}"}}
    run = airflow.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)[1]["dag_run_id"]
    airflow.wait(lambda: _in_mid_search(sandbox, name), "the search", pause=0.005, seconds=300)
    began = time.monotonic()
    before = states(sandbox, name)
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
    lost = states(sandbox, name)["FAIL"]
    broken = _broken(sandbox, name, tasks, before["RUNNING"])
    retry = "Airflow ran the tasks again; the run ended, promoted once"
    return Finding("search", killed, 1, lost, seconds, retry, (len(sandbox.versions(name)),), None, broken)


def _in_mid_search(sandbox: Sandbox, name: str) -> bool:
    found = states(sandbox, name)
    return found["COMPLETE"] + found["PRUNED"] >= 2 and found["RUNNING"] > 0


def _kill_scheduler(airflow: LiveAirflow, *, with_its_tasks: bool) -> None:
    """Kill it with SIGKILL; then end its children, as Noria's stack and a container do before they start another one.

    Idle workers that outlive their scheduler hold its connections to PostgreSQL open, and with them its row locks: the run
    would not continue while they live.
    """
    scheduler = airflow._processes.pop()
    if with_its_tasks:
        sessions.kill(sessions.members(scheduler.pid))
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.wait()
    sessions.end(sessions.members(scheduler.pid), grace=3.0)


def _broken(sandbox: Sandbox, name: str, tasks: Mapping[str, str], running: int) -> tuple[str, ...]:
    """Broken guarantees in words, once the run has ended; `running` is the number of trials that ran at the kill."""
    found, versions = states(sandbox, name), sandbox.versions(name)
    champion = sandbox.services.registry.champion(name).version
    promoted = [event for event in sandbox.services.audit.events(name) if event.action.value == "promoted"]
    return (
        *(() if set(tasks.values()) == {"success"} else (f"tasks ended as {tasks}",)),
        *(() if len(versions) == 1 else (f"{len(versions)} versions were registered",)),
        *(() if found["COMPLETE"] + found["PRUNED"] == TRIALS else (f"the study ended with {dict(found)}",)),
        *(() if found["FAIL"] <= running else (f"{found['FAIL']} trials lost of {running} that ran",)),
        *(() if champion == "1" and len(promoted) == 1 else (f"champion {champion}, promoted {len(promoted)} times",)),
    )


def _environment(database_url: str, pipeline: PipelineEnvironment) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "NORIA_"))}
    return {
        **kept,
        **_SOON,
        "AIRFLOW_HOME": str(pipeline.home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url.replace("postgresql:", "postgresql+psycopg2:"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__MP_START_METHOD": "fork",
        "NORIA_HOME": str(pipeline.home),
        "NORIA_USE_CASES": str(pipeline.use_cases),
        "NORIA_WAREHOUSE_URL": pipeline.warehouse_url,
        "NORIA_MLFLOW_URL": pipeline.mlflow_url,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "config")]),
    }
