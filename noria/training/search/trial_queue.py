"""Who works on which trial.

Every worker holds a PostgreSQL advisory lock for as long as its process lives. A trial that runs under a worker whose lock
is gone was interrupted (kill -9, a lost machine): the first worker that sees it marks it failed and offers it again, at most
`MAX_RETRIES` times. PostgreSQL drops the lock with the connection, so there is no heartbeat to wait for. A worker whose
connection was lost (PostgreSQL was restarted) takes its lock again at the next sign of life, every few boosting rounds.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg

from noria.core.base.errors import NoriaError
from noria.training.search.plan import SearchPlan
from noria.training.search.storage import connect, lock_key, locked, patiently
from noria.training.search.study import KIND, SECONDS, WARM_START, sampler

if TYPE_CHECKING:
    import optuna

MAX_RETRIES = 2
TAKEOVER_SECONDS = 30.0
"""How long a worker waits for a killed predecessor of the same number: its connection may take a moment to go."""
WORKER, ATTEMPT, DRAW = "worker", "attempt", "draw"
_BEGUN = "begun"
_log = logging.getLogger(__name__)


class TrialQueue:
    """Hands out the trials of a study to one worker; used as a context manager, which is the worker's sign of life."""

    def __init__(self, plan: SearchPlan, study: optuna.Study, storage_url: str, worker: int) -> None:
        self._plan = plan
        self._study = study
        self._url = storage_url
        self._worker = worker
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> TrialQueue:
        patiently(self._take_place)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def next_trial(self) -> optuna.Trial | None:
        """A trial of this worker, or None when as many as there are to be are finished or being worked on.

        Raises:
            NoriaError: PostgreSQL stayed away, or another process took this worker's place meanwhile.
        """
        return patiently(self._next_trial, before_retry=self._take_place)

    def sign_of_life(self) -> None:
        """Make sure that this worker still holds its place, and take it again where PostgreSQL was restarted.

        Raises:
            NoriaError: PostgreSQL stayed away, or another process took this worker's place meanwhile.
        """
        patiently(lambda: self._held.execute("select 1"), before_retry=self._take_place)

    def spent_before(self) -> float:
        """Seconds that finished trials of this worker have taken."""
        trials = patiently(lambda: self._study.get_trials(deepcopy=False))
        return sum(float(trial.user_attrs.get(SECONDS, 0)) for trial in trials if _worker_of(trial) == self._worker)

    def finished(self) -> int:
        """How many trials are completed or given up."""
        from optuna.trial import TrialState

        return len(
            patiently(lambda: self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
        )

    def _next_trial(self) -> optuna.Trial | None:
        with locked(self._held, self._study.study_name):
            self._reclaim()
            self._open()
            if self._taken() >= self._plan.limits.trials or self._nothing_to_draw():
                return None
            self._study.sampler = sampler(self._plan.seed, self._draw())
            trial = self._study.ask()
            trial.set_user_attr(WORKER, self._worker)
            return trial

    def _open(self) -> None:
        if _BEGUN in self._study.user_attrs:
            return
        for kind, params in self._plan.initial:
            # The kind is an attribute as well: one without hyperparameters has no other mark. A second call after a kill
            # half-way finds what is there.
            self._study.enqueue_trial({KIND: kind, **params}, user_attrs={KIND: kind}, skip_if_exists=True)
        self._study.set_user_attr(WARM_START, dict(self._plan.warm_start))
        self._study.set_user_attr(_BEGUN, True)

    def _nothing_to_draw(self) -> bool:
        """Whether no kind has hyperparameters to search, and all were tried as they are."""
        return not self._plan.searched and not self._trials("WAITING")

    def _draw(self) -> int:
        """Which draw the next trial is. One that is offered again is the draw that it was: nothing after it is shifted."""
        waiting = self._trials("WAITING")
        return int(waiting[0].user_attrs[DRAW]) if waiting and DRAW in waiting[0].user_attrs else self._begun_before(None)

    def _begun_before(self, number: int | None) -> int:
        """How many draws were begun before a trial of that number; before the next one where there is none."""
        begun = self._trials("COMPLETE", "PRUNED", "RUNNING", "FAIL")
        return sum(ATTEMPT not in trial.user_attrs and (number is None or trial.number < number) for trial in begun)

    def _taken(self) -> int:
        return len(self._trials("COMPLETE", "PRUNED", "RUNNING"))

    def _trials(self, *states: str) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return list(self._study.get_trials(deepcopy=False, states=tuple(TrialState[state] for state in states)))

    def _reclaim(self) -> None:
        from optuna.trial import TrialState

        for trial in self._trials("RUNNING"):
            worker = _worker_of(trial)
            if worker is None or worker == self._worker or not self._lives(worker):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                self._offer_again(trial)

    def _offer_again(self, trial: optuna.trial.FrozenTrial) -> None:
        attempt = int(trial.user_attrs.get(ATTEMPT, 0)) + 1
        if attempt <= MAX_RETRIES:
            _log.info("trial %d was interrupted; offering it again (attempt %d)", trial.number, attempt)
            drawn = trial.params if self._plan.workers > 1 else {}  # one worker alone draws the same again
            params = {**trial.system_attrs.get("fixed_params", {}), **drawn}
            kind = {KIND: trial.user_attrs[KIND]} if KIND in trial.user_attrs else {}
            draw = trial.user_attrs.get(DRAW, self._begun_before(trial.number))
            self._study.enqueue_trial(params, user_attrs={ATTEMPT: attempt, DRAW: draw, **kind})

    def _lives(self, worker: int) -> bool:
        if not self._try_lock(worker):
            return True
        self._held.execute("select pg_advisory_unlock(%s)", [self._key(worker)])
        return False

    @property
    def _held(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise NoriaError("a desk is used as a context manager")
        return self._connection

    def _take_place(self) -> None:
        """Connect, and hold the lock that says that this worker lives."""
        if self._connection is not None:
            self._connection.close()
        self._connection = connect(self._url)
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not self._try_lock(self._worker):
            if time.monotonic() > deadline:
                self._connection.close()
                raise NoriaError(
                    f"search worker {self._worker} of study {self._study.study_name} is already at work in another process; "
                    "wait for it, or end it"
                )
            time.sleep(0.5)

    def _try_lock(self, worker: int) -> bool:
        row = self._held.execute("select pg_try_advisory_lock(%s)", [self._key(worker)]).fetchone()
        return bool(row and row[0])

    def _key(self, worker: int) -> int:
        return lock_key(f"{self._study.study_name}/{worker}")


def _worker_of(trial: optuna.trial.FrozenTrial) -> int | None:
    worker = trial.user_attrs.get(WORKER)
    return None if worker is None else int(worker)
