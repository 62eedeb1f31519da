"""One worker of the hyperparameter search. Several share a study; each can be killed and started again.

The result of the search is `best_trial`, in `noria.training.search.selection`.
"""

from __future__ import annotations

from collections.abc import Mapping

from noria.core.base.results import SearchResult, SnapshotRef
from noria.core.use_case import UseCase
from noria.training.data.dataset import Fold, read_snapshot
from noria.training.data.sampling import sampled
from noria.training.data.splits import search_folds
from noria.training.models.base.threads import limited_threads
from noria.training.search.budget import Budget
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.plan import SearchPlan, search_plan
from noria.training.search.storage import patiently
from noria.training.search.study import completed, open_study
from noria.training.search.trial import TrialRunner
from noria.training.search.trial_queue import TrialQueue
from noria.training.search.worker_lock import WorkerLock


def run_worker(
    use_case: UseCase,
    snapshot: SnapshotRef,
    worker: int,
    *,
    storage_url: str,
    warm_start: Mapping[str, str] | None = None,
) -> SearchResult:
    """Try hyperparameters until a limit is reached; a second call resumes where this one stopped.

    A trial that runs when the time is up ends at its next report. No worker ends before the study has a completed trial.
    Time that an earlier run of the same worker used is counted.

    Args:
        use_case: candidates, split, metric and limits.
        snapshot: the training set.
        worker: its number, 0 to `training.workers` less 1.
        storage_url: PostgreSQL that holds the study.
        warm_start: parameters of the champion's run, as the registry returns them; a new study starts from them.

    Raises:
        NotEnoughDataError: the training set is too small to split.
        NoriaError: the same worker runs in another process, or PostgreSQL cannot be reached.
    """
    return run_plan(search_plan(use_case, snapshot, warm_start), worker, storage_url)


def run_plan(plan: SearchPlan, worker: int, storage_url: str) -> SearchResult:
    """As `run_worker`, for a search that is planned already."""
    with (
        limited_threads(plan.context.threads),
        open_study(plan, storage_url) as study,
        WorkerLock(plan.study, worker, storage_url) as lock,
    ):
        queue = TrialQueue(plan, study, lock)
        budget = Budget.of(plan.limits, queue.spent_before())
        held_out = HeldOutScores.of(plan.snapshot, plan.study)
        trials = _run_trials(TrialRunner(plan, study, queue, _folds(plan), budget, held_out))
        best = patiently(lambda: study.best_value) if completed(study) else None
        return SearchResult(study=plan.study, trials=trials, best_value=best)


def _folds(plan: SearchPlan) -> tuple[Fold, ...]:
    rows = read_snapshot(plan.schema, plan.snapshot, most_in_memory=plan.most_in_memory)
    return search_folds(plan.split, sampled(rows, plan.seed, plan.sampling))


def _run_trials(runner: TrialRunner) -> int:
    trials = 0
    while runner.budget.left > 0 or not completed(runner.study):
        trial = runner.queue.next_trial()
        if trial is None:
            break
        runner.run(trial)
        trials += 1
    return trials
