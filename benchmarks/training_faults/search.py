"""Kills in mid-search: of a worker in each of its trials, of one of two workers, of PostgreSQL, of all servers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import psycopg

from benchmarks.training_faults.finding import Finding
from benchmarks.training_faults.job_process import JobProcess, run_job
from benchmarks.training_faults.sandbox import Sandbox
from noria.core.base.results import SnapshotRef
from noria.training.search.replay import search_again

OPENING = 2
"""Trials that a study begins with: the defaults of each kind of model."""
TRIALS = 14
"""More than are drawn at random at first, so that later draws depend on earlier results."""
_STATES = """
select t.state::text, count(*) from optuna.trials as t join optuna.studies as s using (study_id)
where starts_with(s.study_name, %s) and s.study_name not like '%%/again' group by 1
"""
_OF_FIRST = """
select 1 from optuna.trials as t join optuna.studies as s using (study_id)
join optuna.trial_user_attributes as a using (trial_id)
where starts_with(s.study_name, %s) and t.state = 'RUNNING' and a.key = 'worker' and a.value_json = '0'
"""
_SINCE = """
select extract(epoch from now() - max(t.datetime_start)::timestamptz)
from optuna.trials as t join optuna.studies as s using (study_id)
where starts_with(s.study_name, %s) and t.state = 'RUNNING'
"""


def a_search(sandbox: Sandbox, *, workers: int = 1) -> tuple[str, str]:
    """A use case with its baseline and snapshot; returns its name and the snapshot as JSON."""
    training = {"trials": TRIALS, "workers": workers, "candidates": ["linear", "gradient_boosting"]}
    name = sandbox.a_use_case("searched", training=training)
    sandbox.proxy.watch()
    run_job(sandbox.environment, name, "baseline")
    return name, run_job(sandbox.environment, name, "snapshot")


def killed_in_each_trial(sandbox: Sandbox, moments: Iterable[int] = range(OPENING, TRIALS)) -> Finding:
    """One worker, killed once in every trial whose hyperparameters are drawn, or in some of them."""
    return _killed_in(sandbox, moments, "the only worker, once in each trial that is drawn", determined=True)


def killed_in_the_opening(sandbox: Sandbox) -> Finding:
    """One worker, killed once in every trial that a study begins with; each is run again after the others."""
    moments = range(OPENING)
    return _killed_in(sandbox, moments, "the only worker, once in each trial with defaults", determined=False)


def _killed_in(sandbox: Sandbox, moments: Iterable[int], killed: str, *, determined: bool) -> Finding:
    name, snapshot = a_search(sandbox)
    lost, hits = 0.0, 0
    for done in moments:
        process = JobProcess(sandbox.environment, name, "search", f"0 {snapshot}")
        hits += process.kill_when(in_trial(sandbox, name, done))
        lost = max(lost, running_for(sandbox, name))
    run_job(sandbox.environment, name, "search", f"0 {snapshot}")
    return registered(sandbox, name, snapshot, killed=killed, hits=hits, lost=lost, determined=determined)


def killed_beside_another(sandbox: Sandbox) -> Finding:
    """Two workers; one is killed for good in mid-trial, the other one continues."""
    name, snapshot = a_search(sandbox, workers=2)
    first, other = (JobProcess(sandbox.environment, name, "search", f"{number} {snapshot}") for number in (0, 1))
    hit = first.kill_when(lambda: bool(sandbox.query(_OF_FIRST, f"{name}/")) if states(sandbox, name)["COMPLETE"] else False)
    lost = running_for(sandbox, name)
    other.wait()
    killed = "one of two workers, for good"
    retry = "the other worker took its trial over"
    return registered(sandbox, name, snapshot, killed=killed, hits=int(hit), lost=lost, retry=retry, determined=False)


def postgres_killed(sandbox: Sandbox, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """PostgreSQL is killed under a worker, several times in one search, and started again each time."""
    name, snapshot = a_search(sandbox)
    process = JobProcess(sandbox.environment, name, "search", f"0 {snapshot}")
    hits, away = 0, 0.0
    for done in (2, 5, 8, 11):
        process.wait_for(in_trial(sandbox, name, done))
        began = time.monotonic()
        hits += process.is_alive
        kill()
        time.sleep(1)  # so that the worker notices
        start()
        away = max(away, time.monotonic() - began)
    broken = () if process.wait() else (f"the worker gave up: {process.error.strip().splitlines()[-1]}",)
    killed, retry = "PostgreSQL, restarted, in four trials", "no retry: the worker waited for it"
    # Not determined: a draw that could not be stored is drawn anew.
    found = registered(sandbox, name, snapshot, killed=killed, hits=hits, lost=away, retry=retry, determined=False)
    return replace(found, broken=(*broken, *found.broken))


def all_killed(sandbox: Sandbox, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """Worker, PostgreSQL and MLflow are killed at once."""
    name, snapshot = a_search(sandbox)
    process = JobProcess(sandbox.environment, name, "search", f"0 {snapshot}")
    hit = process.kill_when(in_trial(sandbox, name, 3))
    lost = running_for(sandbox, name)
    kill()
    start()
    run_job(sandbox.environment, name, "search", f"0 {snapshot}")
    killed = "worker, PostgreSQL and MLflow at once"
    return registered(sandbox, name, snapshot, killed=killed, hits=int(hit), lost=lost)


def states(sandbox: Sandbox, name: str) -> Counter[str]:
    """Number of trials of a study by state; empty where there is no study yet."""
    try:
        return Counter(dict(sandbox.query(_STATES, f"{name}/")))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Counter()


def in_trial(sandbox: Sandbox, name: str, done: int) -> Callable[[], bool]:
    """A condition: so many trials are over and the next one runs."""

    def condition() -> bool:
        found = states(sandbox, name)
        return found["COMPLETE"] + found["PRUNED"] == done and found["RUNNING"] > 0

    return condition


def running_for(sandbox: Sandbox, name: str) -> float:
    """Seconds since the running trial has started."""
    return float(sandbox.query(_SINCE, f"{name}/")[0][0] or 0.0)


def registered(
    sandbox: Sandbox,
    name: str,
    snapshot: str,
    *,
    killed: str,
    hits: int,
    lost: float = 0.0,
    retry: str = "the same worker went on",
    determined: bool = True,
) -> Finding:
    """Register the result of a search, and compare it with an undisturbed search."""
    found = states(sandbox, name)
    for _ in range(2):
        run_job(sandbox.environment, name, "fit_and_register", snapshot)
    versions = len(sandbox.versions(name))
    broken = [] if hits else ["no trial was hit"]
    if found["COMPLETE"] + found["PRUNED"] != TRIALS or found["RUNNING"]:
        broken.append(f"the study ended with {dict(found)} of {TRIALS} trials")
    if found["FAIL"] > hits:
        broken.append(f"{found['FAIL']} trials were lost to {hits} kills")
    if versions != 1:
        broken.append(f"{versions} versions were registered")
    same = undisturbed(sandbox, name, snapshot) if determined else None
    broken += ["the search differs from the undisturbed one"] if same is False else []
    trials = -(-found["FAIL"] // hits) if hits else None
    return Finding("search", killed, hits, trials, lost, retry, (versions,), same, tuple(broken))


def undisturbed(sandbox: Sandbox, name: str, snapshot: str) -> bool:
    """Whether trials and bundle are those of a second, undisturbed search."""
    use_case, reference = sandbox.use_case(name), SnapshotRef.model_validate_json(snapshot)
    best = search_again(use_case, reference, sandbox.environment.warehouse_url)
    (version,) = sandbox.versions(name)
    drawn = trials_of(sandbox, best.study.removesuffix("/again")), trials_of(sandbox, best.study)
    return drawn[0] == drawn[1] and sandbox.undisturbed_bundle(name, snapshot, best) == version.bundle_digest


def trials_of(sandbox: Sandbox, study: str) -> list[tuple[Any, ...]]:
    """Hyperparameters and values of the completed and pruned trials of a study, sorted."""
    return sandbox.query(
        """
        select t.state::text, v.value, array(
            select p.param_name || ' ' || p.param_value
            from optuna.trial_params as p where p.trial_id = t.trial_id order by 1
        ) as params
        from optuna.trials as t join optuna.studies as s using (study_id) left join optuna.trial_values as v using (trial_id)
        where s.study_name = %s and t.state in ('COMPLETE', 'PRUNED') order by params, value
        """,
        study,
    )
