"""Trials that were interrupted (kill -9, a lost machine): marked as failed, and offered again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from noria.training.search.plan import SearchPlan
from noria.training.search.study import ATTEMPT, DRAW, KIND, draws_before, trials_in, worker_of
from noria.training.search.worker_lock import WorkerLock

if TYPE_CHECKING:
    import optuna

MAX_RETRIES = 2
_log = logging.getLogger(__name__)


def offer_interrupted(plan: SearchPlan, study: optuna.Study, lock: WorkerLock) -> None:
    """Fail running trials of workers that are gone, and enqueue each again, at most `MAX_RETRIES` times.

    Args:
        plan: number of workers.
        study: of the trials.
        lock: of the calling worker; knows which workers live. Its own running trials are of a killed predecessor.
    """
    from optuna.trial import TrialState

    for trial in trials_in(study, "RUNNING"):
        worker = worker_of(trial)
        if worker is None or worker == lock.worker or not lock.is_alive(worker):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            _offer_again(plan, study, trial)


def _offer_again(plan: SearchPlan, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    attempt = int(trial.user_attrs.get(ATTEMPT, 0)) + 1
    if attempt > MAX_RETRIES:
        return
    _log.info("trial %d was interrupted; offering it again (attempt %d)", trial.number, attempt)
    drawn = trial.params if plan.workers > 1 else {}  # a single worker draws the same again
    params = {**trial.system_attrs.get("fixed_params", {}), **drawn}
    kind = {KIND: trial.user_attrs[KIND]} if KIND in trial.user_attrs else {}
    draw = trial.user_attrs.get(DRAW, draws_before(study, trial.number))
    study.enqueue_trial(params, user_attrs={ATTEMPT: attempt, DRAW: draw, **kind})
