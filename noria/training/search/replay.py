"""Replay of a search: runs its study again under another name, and compares the results."""

from __future__ import annotations

from dataclasses import replace

from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.training.search.best_trial import BestTrial
from noria.training.search.budget import SearchLimits
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.plan import SearchPlan, search_plan
from noria.training.search.selection import select
from noria.training.search.storage import open_storage
from noria.training.search.study import ENDED, WARM_START, open_study
from noria.training.search.worker import run_plan

_WORKER = 0


def search_again(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> BestTrial:
    """Run the study of a training set again with one worker and without a time limit; returns its best trial.

    The replay starts from the same champion's hyperparameters and runs as many trials as the study finished. The result of
    one worker is the same to the last digit on the same library versions and number of threads. Several workers draw in the
    order in which they happen to finish, so their result may differ. `differences` compares.

    Args:
        use_case: candidates, split, metric and limits.
        snapshot: the training set.
        storage_url: PostgreSQL that holds the study.

    Raises:
        NotEnoughDataError: the study has no completed trial.
    """
    plan = search_plan(use_case, snapshot)
    select(plan, storage_url)  # raises if there is nothing to compare with
    again = _replay_plan(use_case, plan, storage_url)
    _delete_study(again.study, storage_url)
    run_plan(again, _WORKER, storage_url)
    best = select(again, storage_url)
    HeldOutScores.of(snapshot, again.study).forget()
    return best


def differences(first: BestTrial, again: BestTrial) -> tuple[str, ...]:
    """How two best trials differ, in words; empty if they are the same to the last digit."""
    names = sorted(first.params.keys() | again.params.keys())
    compared = (
        ("candidate", first.candidate, again.candidate),
        ("trials", first.trials, again.trials),
        ("value", first.value, again.value),
        *((name, first.params.get(name), again.params.get(name)) for name in names),
    )
    return tuple(f"{name}: {one!r} at first, {other!r} again" for name, one, other in compared if one != other)


def cut_short(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> bool:
    """Whether the time limit ended any trial of the study, so that a replay cannot give the same result."""
    with open_study(search_plan(use_case, snapshot), storage_url) as study:
        return any("time is up" in trial.user_attrs.get(ENDED, "") for trial in study.get_trials(deepcopy=False))


def _replay_plan(use_case: UseCase, plan: SearchPlan, storage_url: str) -> SearchPlan:
    """The same search, ended by the number of trials that the study finished, and by no clock."""
    with open_study(plan, storage_url) as study:
        finished = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))
        warm_start = dict(study.user_attrs.get(WARM_START, {}))
    started = search_plan(use_case, plan.snapshot, warm_start)
    return replace(started, study=f"{plan.study}/again", initial=started.initial[:finished], limits=SearchLimits(finished))


def _delete_study(name: str, storage_url: str) -> None:
    """Delete what an earlier replay left."""
    import optuna

    storage = open_storage(storage_url)
    try:
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()
