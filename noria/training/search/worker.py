"""One worker of the hyperparameter search. Several share a study; each can be killed and started again.

What the search settled on is `best_trial`, of `noria.training.search.selection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from noria.core.base.results import SearchResult, SnapshotRef
from noria.core.use_case import UseCase
from noria.training.data.dataset import read_snapshot
from noria.training.data.sampling import sampled
from noria.training.data.splits import search_folds
from noria.training.models.base.estimator import FitContext
from noria.training.models.base.threads import limited_threads, threads_per_worker
from noria.training.search.budget import Budget
from noria.training.search.initial_trials import first_trials
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.search_metric import search_measure
from noria.training.search.selection import BestTrial, best_trial
from noria.training.search.storage import patiently
from noria.training.search.study import completed, open_study
from noria.training.search.trial import TrialRunner
from noria.training.search.trial_queue import InitialTrials, TrialQueue

__all__ = ["BestTrial", "SearchLimits", "best_trial", "run_worker", "work"]


@dataclass(frozen=True)
class SearchLimits:
    """How a search may differ from what its use case says: None keeps what it says.

    Attributes:
        trials: how many there may be.
        budget: what a worker may use.
        study: name of the study.
    """

    trials: int | None = None
    budget: Budget | None = None
    study: str | None = None


def run_worker(
    use_case: UseCase,
    snapshot: SnapshotRef,
    worker: int,
    *,
    storage_url: str,
    warm_start: Mapping[str, str] | None = None,
) -> SearchResult:
    """Try hyperparameters until the study has its trials or the time is up; a second call goes on where this one stopped.

    A trial that runs when the time is up is given up at its next report; no worker ends without a completed trial in the
    study. Time that an earlier run of the same worker used is counted.

    Args:
        use_case: what the business wants.
        snapshot: the training set.
        worker: its number, 0 to `training.workers` less 1.
        storage_url: PostgreSQL that holds the study.
        warm_start: parameters of the champion's run, as the registry has them: a new study begins there.

    Raises:
        NotEnoughDataError: the training set is too small to hold rows back.
        NoriaError: the same worker is at work in another process, or PostgreSQL cannot be reached.
    """
    return work(use_case, snapshot, worker, storage_url=storage_url, warm_start=warm_start or {})


def work(
    use_case: UseCase,
    snapshot: SnapshotRef,
    worker: int,
    *,
    storage_url: str,
    warm_start: Mapping[str, str],
    terms: SearchLimits | None = None,
) -> SearchResult:
    """As `run_worker`, on terms of its own."""
    terms = terms or SearchLimits()
    context = FitContext(use_case.training.seed, threads_per_worker(use_case.training.workers))
    wanted = terms.trials or use_case.training.trials
    opening = InitialTrials(first_trials(use_case, warm_start)[:wanted], warm_start, wanted)
    with (
        limited_threads(context.threads),
        open_study(use_case, snapshot, storage_url, seed=context.seed, name=terms.study) as study,
        TrialQueue(use_case, study, storage_url, worker, opening) as desk,
    ):
        budget = terms.budget or Budget.of(use_case.training, desk.spent_before())
        folds = search_folds(use_case, sampled(read_snapshot(use_case, snapshot), context.seed))
        measure, kept = search_measure(use_case), HeldOutScores.of(snapshot, study.study_name)
        trials = _run_trials(TrialRunner(use_case, study, desk, folds, context, measure, budget, kept))
        best = patiently(lambda: study.best_value) if completed(study) else None
        return SearchResult(study=study.study_name, trials=trials, best_value=best)


def _run_trials(runner: TrialRunner) -> int:
    trials = 0
    while runner.budget.left > 0 or not completed(runner.study):
        trial = runner.desk.next_trial()
        if trial is None:
            break
        runner.run(trial)
        trials += 1
    return trials
