"""The shared study: Optuna's tables in PostgreSQL, and how the next hyperparameters are drawn.

What is drawn depends on the seed and on the trials so far, and on nothing else: every trial has a sampler of its own, seeded
by how many were drawn before; one that is offered again counts as what it was. So one worker alone draws the same trials
every time, and after a kill goes on as if it had not been killed. (A kill in one of the trials that a study begins with
changes their order: that one is tried again behind the others.)
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
"""What a trial carries: kind of model, what its fits taught, metric per fold, how long it took, why it was given up."""
WARM_START = "warm_start"
"""What a study carries: the hyperparameters of the champion that it began with."""
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
    """Draws one trial: a tree-structured Parzen estimator over each kind's hyperparameters together.

    Args:
        seed: of the search.
        drawn: how many trials were drawn before.
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
            constant_liar=True,  # parallel workers stay out of each other's way
        )


def completed(study: optuna.Study) -> list[Any]:
    """The trials that went through all folds, in the order of their numbers."""
    from optuna.trial import TrialState

    return list(patiently(lambda: study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))))
