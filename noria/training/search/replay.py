"""Proves that a search can be replayed: runs its study anew, under another name, and says what came out differently."""

from __future__ import annotations

from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.training.search.budget import Budget
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.storage import open_storage
from noria.training.search.study import ENDED, WARM_START, open_study, study_name
from noria.training.search.worker import BestTrial, SearchLimits, best_trial, work

_WORKER = 0


def search_again(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> BestTrial:
    """Run a training set's study anew with one worker, without a time limit, and give its best trial.

    It begins with the same champion's hyperparameters and draws as many trials as the study finished. That of one worker on
    the same versions and number of threads comes out the same to the last digit; of several workers, who draw in the order
    in which they happen to finish, the same is not promised. `differences` compares.

    Args:
        use_case: what the business wants.
        snapshot: the training set.
        storage_url: PostgreSQL that holds the study.

    Raises:
        NotEnoughDataError: the study has no completed trial.
    """
    best_trial(use_case, snapshot, storage_url)  # says so where there is nothing to compare with
    name = f"{study_name(use_case, snapshot)}/again"
    _forget(name, storage_url)
    trials, warm_start = _plan(use_case, snapshot, storage_url)
    without_limit = SearchLimits(trials, Budget.unlimited(), name)
    work(use_case, snapshot, _WORKER, storage_url=storage_url, warm_start=warm_start, terms=without_limit)
    found = best_trial(use_case, snapshot, storage_url, study_name=name)
    HeldOutScores.of(snapshot, name).forget()
    return found


def differences(first: BestTrial, again: BestTrial) -> tuple[str, ...]:
    """What two best trials differ in, in words; empty where they are the same to the last digit."""
    names = sorted(first.params.keys() | again.params.keys())
    compared = (
        ("candidate", first.candidate, again.candidate),
        ("trials", first.trials, again.trials),
        ("value", first.value, again.value),
        *((name, first.params.get(name), again.params.get(name)) for name in names),
    )
    return tuple(f"{name}: {one!r} at first, {other!r} again" for name, one, other in compared if one != other)


def cut_short(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> bool:
    """Whether time gave any trial of the study up, so that it cannot come out the same again."""
    with open_study(use_case, snapshot, storage_url, seed=use_case.training.seed) as study:
        return any("time is up" in trial.user_attrs.get(ENDED, "") for trial in study.get_trials(deepcopy=False))


def _plan(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> tuple[int, dict[str, str]]:
    """How many trials the study finished, and what it began with."""
    with open_study(use_case, snapshot, storage_url, seed=use_case.training.seed) as study:
        finished = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))
        return finished, dict(study.user_attrs.get(WARM_START, {}))


def _forget(name: str, storage_url: str) -> None:
    """Take away what an earlier replay left."""
    import optuna

    storage = open_storage(storage_url)
    try:
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()
