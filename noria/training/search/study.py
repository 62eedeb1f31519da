"""The shared study: Optuna's tables in PostgreSQL, and how hyperparameters are drawn.

A draw depends on the seed and on the trials before it, and on nothing else: every trial has a sampler of its own, seeded by
the number of draws before it. A trial that is offered again keeps the number of its draw. So a single worker draws the same
trials every time, and after a kill continues as if it had not been killed. (A kill in one of the initial trials changes
their order: that one is tried again after the others.)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from noria.training.search.plan import SearchPlan
from noria.training.search.storage import open_storage, patiently

if TYPE_CHECKING:
    import optuna

KIND, FITTED_PARAMS, FOLDS, SECONDS, ENDED = "candidate", "taught", "folds", "seconds", "ended"
"""Attributes of a trial: kind of model, fitted parameters, metric per fold, duration, and why it was pruned."""
WORKER, ATTEMPT, DRAW = "worker", "attempt", "draw"
"""Attributes of a trial: number of its worker; of a trial that is offered again: which attempt, and number of its draw."""
WARM_START = "warm_start"
"""Attribute of a study: hyperparameters of the champion that it started from."""
_STARTUP_TRIALS = 10


@contextmanager
def open_study(plan: SearchPlan, storage_url: str) -> Iterator[optuna.Study]:
    """The study of a search, created if it does not exist; its connections are closed at the end.

    Args:
        plan: name, direction and seed.
        storage_url: PostgreSQL that holds the study.

    Raises:
        NoriaError: PostgreSQL cannot be reached.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line per trial is ours to write
    storage = patiently(lambda: open_storage(storage_url))
    try:
        yield patiently(
            lambda: optuna.create_study(
                storage=storage,
                study_name=plan.study,
                direction=plan.measure.direction,
                sampler=sampler(plan.seed, 0),
                pruner=optuna.pruners.NopPruner(),  # `noria.training.search.pruning` decides
                load_if_exists=True,
            )
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


def sampler(seed: int, drawn: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial: a tree-structured Parzen estimator over each kind's hyperparameters together.

    Args:
        seed: of the search.
        drawn: number of draws before.
    """
    import numpy as np
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence([seed, drawn]).generate_state(1)[0]),
            n_startup_trials=_STARTUP_TRIALS,
            multivariate=True,
            group=True,  # each kind of model has hyperparameters of its own
            constant_liar=True,  # parallel workers do not draw the same
        )


def completed(study: optuna.Study) -> list[Any]:
    """The trials that went through all folds, in the order of their numbers."""
    return patiently(lambda: trials_in(study, "COMPLETE"))


def trials_in(study: optuna.Study, *states: str) -> list[Any]:
    """The trials in some states, by Optuna's names, in the order of their numbers."""
    from optuna.trial import TrialState

    return list(study.get_trials(deepcopy=False, states=tuple(TrialState[state] for state in states)))


def worker_of(trial: optuna.trial.FrozenTrial) -> int | None:
    """Number of the worker that runs or ran a trial; None for one that was not handed out."""
    worker = trial.user_attrs.get(WORKER)
    return None if worker is None else int(worker)


def next_draw(study: optuna.Study) -> int:
    """Number of the next trial's draw; a trial that is offered again keeps its own, so later draws do not shift."""
    waiting = trials_in(study, "WAITING")
    if waiting and DRAW in waiting[0].user_attrs:
        return int(waiting[0].user_attrs[DRAW])
    return draws_before(study, None)


def draws_before(study: optuna.Study, number: int | None) -> int:
    """Draws before a trial of that number; all draws if it is None."""
    begun = trials_in(study, "COMPLETE", "PRUNED", "RUNNING", "FAIL")
    return sum(ATTEMPT not in trial.user_attrs and (number is None or trial.number < number) for trial in begun)
