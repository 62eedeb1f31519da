"""The shared study: Optuna's tables in PostgreSQL, and who works on which trial.

Every worker holds a PostgreSQL advisory lock for as long as its process lives. A trial that runs under a worker whose lock
is gone was interrupted (kill -9, a lost machine): whoever sees that first marks it failed and offers it again, at most
`MAX_RETRIES` times. PostgreSQL drops the lock with the connection, so there is no heartbeat to wait for.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa

from noria.core.bundle import specification_digest
from noria.core.errors import NoriaError
from noria.core.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.training.candidates import CANDIDATES

if TYPE_CHECKING:
    import optuna

MAX_RETRIES = 2
TAKEOVER_SECONDS = 30.0
"""How long a worker waits for a killed predecessor of the same number: its connection may take a moment to go."""
WORKER, ATTEMPT = "worker", "attempt"
_SCHEMA = "optuna"
_log = logging.getLogger(__name__)


def study_name(use_case: UseCase, snapshot: SnapshotRef) -> str:
    """The same training set and specification give the same study, so that a retry goes on where it stopped."""
    return f"{use_case.name}/{snapshot.digest[:16]}/{specification_digest(use_case)[:16]}"


@contextmanager
def open_study(use_case: UseCase, snapshot: SnapshotRef, storage_url: str, *, seed: int) -> Iterator[optuna.Study]:
    """The study of a training set, made if it is not there; its connections are closed at the end."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line per trial is ours to write
    storage = _open_storage(storage_url)
    try:
        yield optuna.create_study(
            storage=storage,
            study_name=study_name(use_case, snapshot),
            direction="minimize" if use_case.training.metric == "log_loss" else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=6),
            load_if_exists=True,
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


class Desk:
    """Hands out the trials of a study to one worker; used as a context manager, which is the worker's sign of life."""

    def __init__(self, study: optuna.Study, storage_url: str, worker: int) -> None:
        self._study = study
        self._url = storage_url
        self._worker = worker

    def __enter__(self) -> Desk:
        self._connection = _connect(self._url)
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not self._try_lock(self._worker):
            if time.monotonic() > deadline:
                self._connection.close()
                raise NoriaError(
                    f"search worker {self._worker} of study {self._study.study_name} is already at work in another process; "
                    "wait for it, or end it"
                )
            time.sleep(0.5)
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def next_trial(self, most: int, candidates: tuple[str, ...]) -> optuna.Trial | None:
        """A trial of this worker, or None when `most` are finished or being worked on."""
        with _locked(self._connection, self._study.study_name):
            self._reclaim()
            if len(self._study.get_trials(deepcopy=False)) == 0:
                for name in candidates:  # under the lock: once per study
                    self._study.enqueue_trial({"candidate": name, **CANDIDATES[name].defaults})
            if self._taken() >= most:
                return None
            trial = self._study.ask()
            trial.set_user_attr(WORKER, self._worker)
            return trial

    def _taken(self) -> int:
        from optuna.trial import TrialState

        counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return len(self._study.get_trials(deepcopy=False, states=counted))

    def _reclaim(self) -> None:
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get(WORKER)
            if worker is None or worker == self._worker or not self._lives(int(worker)):
                self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                self._offer_again(trial)

    def _offer_again(self, trial: optuna.trial.FrozenTrial) -> None:
        attempt = int(trial.user_attrs.get(ATTEMPT, 0)) + 1
        if attempt <= MAX_RETRIES:
            _log.info("trial %d was interrupted; offering it again (attempt %d)", trial.number, attempt)
            self._study.enqueue_trial(trial.params, user_attrs={ATTEMPT: attempt})

    def _lives(self, worker: int) -> bool:
        if not self._try_lock(worker):
            return True
        self._connection.execute("select pg_advisory_unlock(%s)", [self._key(worker)])
        return False

    def _try_lock(self, worker: int) -> bool:
        row = self._connection.execute("select pg_try_advisory_lock(%s)", [self._key(worker)]).fetchone()
        return bool(row and row[0])

    def _key(self, worker: int) -> int:
        return _lock_key(f"{self._study.study_name}/{worker}")


def _open_storage(storage_url: str) -> Any:
    from optuna.storages import RDBStorage

    engine = {
        "connect_args": {"options": f"-csearch_path={_SCHEMA}"},
        "pool_size": 2,
        "max_overflow": 2,
        "pool_pre_ping": True,
    }
    # Workers start together: one of them makes the tables, the others wait for it.
    with _connect(storage_url) as connection, _locked(connection, "schema"):
        connection.execute(f"create schema if not exists {_SCHEMA}")
        return RDBStorage(_with_driver(storage_url), engine_kwargs=engine)


def _with_driver(storage_url: str) -> str:
    url = sa.make_url(storage_url).set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


def _connect(storage_url: str) -> psycopg.Connection[Any]:
    plain = sa.make_url(storage_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


@contextmanager
def _locked(connection: psycopg.Connection[Any], name: str) -> Iterator[None]:
    key = _lock_key(name)
    connection.execute("select pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        connection.execute("select pg_advisory_unlock(%s)", [key])


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"noria.study/{name}".encode()).digest()[:8], "big", signed=True)
