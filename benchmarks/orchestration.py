"""The jobs of one month through Airflow's scheduler, against the same jobs called in one Python process.

Both run data, training, score and monitor of April 2013 on the shipped flights, on one PostgreSQL server and one MLflow,
each in a database of its own that already holds January to March. The ratio is the cost of orchestration. The search has a
fixed number of trials, so both do the same work.

The benchmark starts an embedded stack of its own on free ports, and stops it: about eight minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.shared.folders import PROJECT
from monitoring import jobs as monitoring
from noria.bootstrap import bootstrap
from noria.core.base.interval import Interval
from noria.core.lifecycle.promotion import PromotionRequest
from noria.demo.airflow_api import AirflowApi
from noria.jobs import data, release, scoring, training
from noria.local.postgres import PostgresServer
from noria.settings import load_settings
from noria.testing.free_ports import free_port
from noria.testing.waiting import wait_until

NORIA = Path(sys.executable).with_name("noria")
USE_CASE = "flight_delays"
MONTHS = ("2013-01-01", "2013-02-01", "2013-03-01", "2013-04-01", "2013-05-01")
TRIALS = 4
PORTS = ("POSTGRES", "AIRFLOW", "MLFLOW", "SERVING", "SMTP", "MAIL")


def main() -> None:
    """Measure both, print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="noria-orchestration-") as folder, embedded_stack(Path(folder)) as environment:
        other = {**environment, "NORIA_USE_CASES": str(use_cases(Path(folder) / "one_process", seed=8))}
        other["NORIA_WAREHOUSE_URL"] = second_database()
        alone = run_in_process(other)
        subprocess.run(
            [NORIA, "roll-back", USE_CASE, "--reason", "benchmark"], env=other, check=True, stdout=subprocess.DEVNULL
        )
        scheduled = run_in_scheduler()
    show(alone, scheduled)


def show(alone: dict[str, float], scheduled: dict[str, float]) -> None:
    """Print seconds of each step on both sides, and the ratio of the whole."""
    print(f"{'step':<22}{'one process':>14}{'scheduler':>14}   seconds")
    for step, seconds in alone.items():
        print(f"{step:<22}{seconds:>14.1f}{scheduled.get(step, float('nan')):>14.1f}")
    print(f"\nratio {scheduled['whole month'] / alone['whole month']:.2f}: the scheduler's wall time over one process's")


@contextmanager
def embedded_stack(folder: Path) -> Iterator[dict[str, str]]:
    """An embedded stack in a temporary home; yields the environment of its clients."""
    os.environ |= {"NORIA_HOME": str(folder / "home"), "NORIA_USE_CASES": str(use_cases(folder / "scheduler", seed=7))}
    os.environ |= {f"NORIA_{name}_PORT": str(free_port()) for name in PORTS}
    try:
        subprocess.run([NORIA, "up"], check=True, stdout=subprocess.DEVNULL)
        yield dict(os.environ)
    finally:
        subprocess.run([NORIA, "down"], check=False, stdout=subprocess.DEVNULL)


def use_cases(root: Path, seed: int) -> Path:
    """The shipped use case, its trials counted, without its rollout; the seed keeps both sides' versions apart in MLflow."""
    shutil.copytree(PROJECT / "use_cases" / USE_CASE, root / USE_CASE)
    path = root / USE_CASE / "use_case.yaml"
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields["training"] |= {"trials": TRIALS, "minutes": 60, "seed": seed}
    del fields["rollout"]  # it waits for requests, and there are none here
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return root


def second_database() -> str:
    """URL of a new database beside the stack's own."""
    settings = load_settings()
    server = PostgresServer(settings.home / "postgres", settings.postgres_port)
    server.create_database("one_process")
    return server.url("one_process")


def run_in_process(environment: dict[str, str]) -> dict[str, float]:
    """Seconds of each step in a Python process of its own, imports included."""
    prepare(environment)
    started = time.monotonic()
    code = "from benchmarks.orchestration import run_jobs; run_jobs()"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, check=True, capture_output=True, text=True
    )
    return {**json.loads(result.stdout.splitlines()[-1]), "whole month": time.monotonic() - started}


def prepare(environment: dict[str, str]) -> None:
    """Noria's tables, and January to March; not timed."""
    subprocess.run([NORIA, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
    command: list[str | Path] = [NORIA, "data", USE_CASE, "--start", MONTHS[0], "--end", MONTHS[-2]]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def run_jobs() -> None:
    """All jobs of April, one after the other; prints seconds by step as JSON."""
    services = bootstrap()
    case, april = services.use_case(USE_CASE), Interval.parse(*MONTHS[-2:])
    seconds: dict[str, float] = {}

    def timed(step: str, call: Any) -> Any:
        started = time.monotonic()
        result = call()
        seconds[step] = seconds.get(step, 0.0) + time.monotonic() - started
        return result

    timed("ingest", lambda: data.ingest(services, case, april))
    timed("validate_raw", lambda: data.validate(services, case, april, "raw"))
    timed("transform", lambda: data.transform(services, case, april))
    timed("validate_features", lambda: data.validate(services, case, april, "features"))
    timed("score", lambda: scoring.score(services, case, april))
    timed("monitor", lambda: monitoring.monitor(services, case, april))
    timed("notify", lambda: monitoring.notify(services, case, april))
    timed("decide_retrain", lambda: monitoring.decide_retrain(services, case, april, "benchmark"))
    timed("baseline", lambda: training.ensure_baseline(services, case))
    snapshot = timed("snapshot", lambda: training.take_snapshot(services, case, april.end))
    for worker in range(case.training.workers):
        timed("search", lambda worker=worker: training.search(services, case, snapshot, worker))
    candidate = timed("fit_and_register", lambda: training.fit_and_register(services, case, snapshot))
    timed("promote", lambda: release.promote(services, case, PromotionRequest(candidate, actor="benchmark")))
    print(json.dumps(seconds))


def run_in_scheduler() -> dict[str, float]:
    """Seconds of each task as Airflow reports them, and of the whole month from the first call to the last task's end."""
    settings = load_settings()
    prepare(dict(os.environ))
    with AirflowApi(settings.airflow_url, settings.airflow_user, settings.airflow_password.get_secret_value()) as airflow:
        return follow_month(airflow)


def follow_month(airflow: AirflowApi) -> dict[str, float]:
    """Start the runs of the month and wait for the last one."""
    wait_until(lambda: {f"{USE_CASE}__data", f"{USE_CASE}__train"} <= airflow.dag_ids(), "the DAGs are there", pause=1)
    april = Interval.parse(*MONTHS[-2:])
    started = time.monotonic()
    airflow.backfill(f"{USE_CASE}__data", [april], max_active_runs=1)
    airflow.wait(lambda: airflow.runs(f"{USE_CASE}__data"), expected=1, what="data")
    airflow.trigger(f"{USE_CASE}__train", "benchmark", {"as_of": MONTHS[-1]})
    kinds = ("data", "score", "monitor", "train")
    runs = airflow.wait(
        lambda: [run for kind in kinds for run in airflow.runs(f"{USE_CASE}__{kind}")], expected=4, what="the month"
    )
    seconds = {"whole month": time.monotonic() - started}
    for run in runs:
        for task, duration in airflow.durations(run):
            seconds[task] = max(seconds.get(task, 0.0), duration)  # mapped tasks run at the same time
    return seconds


if __name__ == "__main__":
    main()
