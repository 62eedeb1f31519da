"""Kills in mid-search: of a worker in each of its trials, of one of two workers, of PostgreSQL, of the whole machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import psycopg

from benchmarks.fault_parts.finding import Finding
from benchmarks.fault_parts.steps import Step, finished
from benchmarks.fault_parts.world import World

OPENING = 2
"""Trials that a study begins with: the defaults of each kind of model."""
TRIALS = 14
"""More than are drawn blindly at first, so that later draws depend on what earlier ones found."""
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


def a_search(world: World, *, workers: int = 1) -> tuple[str, str]:
    """A use case with its baseline and snapshot; returns its name and the snapshot as JSON."""
    training = {"trials": TRIALS, "workers": workers, "candidates": ["linear", "gradient_boosting"]}
    name = world.a_use_case("searched", training=training)
    world.gate.on_round()
    finished(world.place, name, "baseline")
    return name, finished(world.place, name, "snapshot")


def killed_in_each_trial(world: World, moments: Iterable[int] = range(OPENING, TRIALS)) -> Finding:
    """One worker, killed once in every trial whose hyperparameters are drawn, or in some of them."""
    return _killed_in(world, moments, "the only worker, once in each trial that is drawn", determined=True)


def killed_in_the_opening(world: World) -> Finding:
    """One worker, killed once in every trial that a study begins with; each is tried again behind the others."""
    moments = range(OPENING)
    return _killed_in(world, moments, "the only worker, once in each trial with defaults", determined=False)


def _killed_in(world: World, moments: Iterable[int], killed: str, *, determined: bool) -> Finding:
    name, snapshot = a_search(world)
    lost, hits = 0.0, 0
    for done in moments:
        step = Step(world.place, name, "search", f"0 {snapshot}")
        hits += step.kill_when(in_trial(world, name, done))
        lost = max(lost, running_for(world, name))
    finished(world.place, name, "search", f"0 {snapshot}")
    return judged(world, name, snapshot, killed=killed, hits=hits, lost=lost, determined=determined)


def killed_beside_another(world: World) -> Finding:
    """Two workers; one is killed for good in mid-trial, the other one goes on."""
    name, snapshot = a_search(world, workers=2)
    first, other = (Step(world.place, name, "search", f"{number} {snapshot}") for number in (0, 1))
    hit = first.kill_when(lambda: bool(world.query(_OF_FIRST, f"{name}/")) if states(world, name)["COMPLETE"] else False)
    lost = running_for(world, name)
    other.wait()
    killed = "one of two workers, for good"
    retry = "the other worker took its trial over"
    return judged(world, name, snapshot, killed=killed, hits=int(hit), lost=lost, retry=retry, determined=False)


def postgres_killed(world: World, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """PostgreSQL is killed under a worker, several times in one search, and started again each time."""
    name, snapshot = a_search(world)
    step = Step(world.place, name, "search", f"0 {snapshot}")
    hits, away = 0, 0.0
    for done in (2, 5, 8, 11):
        while step.is_alive and not in_trial(world, name, done)():
            time.sleep(0.001)
        began = time.monotonic()
        hits += step.is_alive
        kill()
        time.sleep(1)  # so that the worker finds that it is away
        start()
        away = max(away, time.monotonic() - began)
    broken = () if step.wait() else (f"the worker gave up: {step.complaint.strip().splitlines()[-1]}",)
    killed, retry = "PostgreSQL, restarted, in four trials", "no retry: the worker waited for it"
    # Not determined: a draw that could not be stored is drawn anew.
    found = judged(world, name, snapshot, killed=killed, hits=hits, lost=away, retry=retry, determined=False)
    return replace(found, broken=(*broken, *found.broken))


def machine_lost(world: World, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """Worker, PostgreSQL and MLflow at once."""
    name, snapshot = a_search(world)
    step = Step(world.place, name, "search", f"0 {snapshot}")
    hit = step.kill_when(in_trial(world, name, 3))
    lost = running_for(world, name)
    kill()
    start()
    finished(world.place, name, "search", f"0 {snapshot}")
    killed = "worker, PostgreSQL and MLflow at once"
    return judged(world, name, snapshot, killed=killed, hits=int(hit), lost=lost)


def states(world: World, name: str) -> Counter[str]:
    """How many trials of a study are in which state; none where there is no study yet."""
    try:
        return Counter(dict(world.query(_STATES, f"{name}/")))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Counter()


def in_trial(world: World, name: str, done: int) -> Callable[[], bool]:
    """Whether so many trials are over and the next one runs."""

    def seen() -> bool:
        found = states(world, name)
        return found["COMPLETE"] + found["PRUNED"] == done and found["RUNNING"] > 0

    return seen


def running_for(world: World, name: str) -> float:
    """Seconds that the trial that runs has taken."""
    return float(world.query(_SINCE, f"{name}/")[0][0] or 0.0)


def judged(
    world: World,
    name: str,
    snapshot: str,
    *,
    killed: str,
    hits: int,
    lost: float = 0.0,
    retry: str = "the same worker went on",
    determined: bool = True,
) -> Finding:
    """Register what a search settled on, and compare it with a search that nobody disturbed."""
    found = states(world, name)
    for _ in range(2):
        finished(world.place, name, "fit_and_register", snapshot)
    versions = len(world.versions(name))
    broken = [] if hits else ["no trial could be hit"]
    if found["COMPLETE"] + found["PRUNED"] != TRIALS or found["RUNNING"]:
        broken.append(f"the study ended with {dict(found)} of {TRIALS} trials")
    if found["FAIL"] > hits:
        broken.append(f"{found['FAIL']} trials were lost to {hits} kills")
    if versions != 1:
        broken.append(f"{versions} versions were registered")
    same = undisturbed(world, name, snapshot) if determined else None
    broken += ["another search than the undisturbed one"] if same is False else []
    trials = -(-found["FAIL"] // hits) if hits else None
    return Finding("search", killed, hits, trials, lost, retry, (versions,), same, tuple(broken))


def undisturbed(world: World, name: str, snapshot: str) -> bool:
    """Whether trials and bundle are those of a search anew that nobody disturbs."""
    from noria.core.base.results import SnapshotRef
    from noria.training.search.replay import search_again

    use_case, reference = world.use_case(name), SnapshotRef.model_validate_json(snapshot)
    best = search_again(use_case, reference, world.place.warehouse_url)
    (version,) = world.versions(name)
    drawn = trials_of(world, best.study.removesuffix("/again")), trials_of(world, best.study)
    return drawn[0] == drawn[1] and world.undisturbed_bundle(name, snapshot, best) == version.bundle_digest


def trials_of(world: World, study: str) -> list[tuple[Any, ...]]:
    """Hyperparameters and values of the trials of a study that are over, whatever their order."""
    return world.query(
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
