"""The queue of a study's trials: which trial a worker runs next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noria.training.search.interrupted import offer_interrupted
from noria.training.search.plan import SearchPlan
from noria.training.search.storage import patiently
from noria.training.search.study import KIND, SECONDS, WARM_START, WORKER, next_draw, sampler, trials_in, worker_of
from noria.training.search.worker_lock import WorkerLock

if TYPE_CHECKING:
    import optuna

_BEGUN = "begun"


class TrialQueue:
    """Hands out the trials of a study to one worker.

    Args:
        plan: initial trials and limits.
        study: of the trials.
        lock: of the worker, held.
    """

    def __init__(self, plan: SearchPlan, study: optuna.Study, lock: WorkerLock) -> None:
        self._plan = plan
        self._study = study
        self._lock = lock

    def next_trial(self) -> optuna.Trial | None:
        """A trial for this worker; None if enough trials are finished or running.

        Raises:
            NoriaError: PostgreSQL cannot be reached, or another process has taken this worker's lock.
        """
        return patiently(self._next_trial, before_retry=self._lock.take)

    def renew_lock(self) -> None:
        """Keep the lock of this worker while a trial runs.

        Raises:
            NoriaError: PostgreSQL cannot be reached, or another process has taken this worker's lock.
        """
        self._lock.renew()

    def spent_before(self) -> float:
        """Seconds that finished trials of this worker have taken."""
        trials = patiently(lambda: self._study.get_trials(deepcopy=False))
        return sum(float(one.user_attrs.get(SECONDS, 0)) for one in trials if worker_of(one) == self._lock.worker)

    def finished(self) -> int:
        """Number of trials that are completed or pruned."""
        return len(patiently(lambda: trials_in(self._study, "COMPLETE", "PRUNED")))

    def _next_trial(self) -> optuna.Trial | None:
        with self._lock.exclusively():
            offer_interrupted(self._plan, self._study, self._lock)
            self._enqueue_initial()
            if self._is_over():
                return None
            self._study.sampler = sampler(self._plan.seed, next_draw(self._study))
            trial = self._study.ask()
            trial.set_user_attr(WORKER, self._lock.worker)
            return trial

    def _enqueue_initial(self) -> None:
        if _BEGUN in self._study.user_attrs:
            return
        for kind, params in self._plan.initial:
            # The kind is an attribute as well: a kind without hyperparameters has no other mark. After a kill half-way a
            # second call skips what is there.
            self._study.enqueue_trial({KIND: kind, **params}, user_attrs={KIND: kind}, skip_if_exists=True)
        self._study.set_user_attr(WARM_START, dict(self._plan.warm_start))
        self._study.set_user_attr(_BEGUN, True)

    def _is_over(self) -> bool:
        """Whether there are enough trials, or no kind has hyperparameters and each was tried."""
        if len(trials_in(self._study, "COMPLETE", "PRUNED", "RUNNING")) >= self._plan.limits.trials:
            return True
        return not self._plan.searched and not trials_in(self._study, "WAITING")
