"""One worker of the hyperparameter search. Several share a study; each can be killed and started again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from noria.core.encoder import Matrix
from noria.core.errors import NotEnoughDataError
from noria.core.metrics import average_precision, log_loss, roc_auc
from noria.core.results import SearchResult, SnapshotRef
from noria.core.use_case import UseCase
from noria.training.candidate import Candidate, Effort, Labels, Params
from noria.training.candidates import CANDIDATES
from noria.training.dataset import Fold, TrainingSet, last_slice, read_snapshot
from noria.training.encoding import encode_for_training, fit_encoder
from noria.training.study import Desk, open_study
from noria.training.threads import limited_threads, threads_per_worker

if TYPE_CHECKING:
    import optuna

FOLDS = 2
_METRICS = {"average_precision": average_precision, "roc_auc": roc_auc, "log_loss": log_loss}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BestTrial:
    """What the search settled on."""

    candidate: str
    params: Params
    number: int
    value: float
    study: str
    trials: int


def run_worker(use_case: UseCase, snapshot: SnapshotRef, worker: int, *, storage_url: str) -> SearchResult:
    """Try hyperparameters until the study has its trials or the time is up; a second call goes on where this one stopped.

    The time is held between fits: a worker ends at most one fit late, and never without a completed trial in the study.

    Raises:
        NotEnoughDataError: the training set is too small to hold slices back.
        NoriaError: the same worker is at work in another process.
    """
    deadline = time.monotonic() + 60 * use_case.training.minutes
    effort = Effort(use_case.training.seed, threads_per_worker(use_case.training.workers))
    seed = use_case.training.seed + worker
    with limited_threads(effort.threads), open_study(use_case, snapshot, storage_url, seed=seed) as study:

        def time_is_up() -> bool:
            return time.monotonic() >= deadline and bool(_completed(study))

        folds = search_folds(use_case, read_snapshot(use_case, snapshot))
        search, trials = _Search(use_case, study, folds, effort, time_is_up), 0
        with Desk(study, storage_url, worker) as desk:
            while not time_is_up():
                trial = desk.next_trial(use_case.training.trials, use_case.training.candidates)
                if trial is None:
                    break
                search.run(trial)
                trials += 1
        best = study.best_value if _completed(study) else None
        return SearchResult(study=study.study_name, trials=trials, best_value=best)


def best_trial(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> BestTrial:
    """The best completed trial of a training set's study.

    Raises:
        NotEnoughDataError: no trial was completed.
    """
    with open_study(use_case, snapshot, storage_url, seed=use_case.training.seed) as study:
        completed = _completed(study)
        if not completed:
            raise NotEnoughDataError(f"study {study.study_name} has no completed trial: run the search step first")
        best = study.best_trial
        params = {name: value for name, value in best.params.items() if name != "candidate"}
        return BestTrial(
            candidate=best.params["candidate"],
            params={**params, **best.user_attrs["taught"]},
            number=best.number,
            value=float(study.best_value),
            study=study.study_name,
            trials=len(completed),
        )


def search_folds(use_case: UseCase, rows: TrainingSet) -> tuple[Fold, ...]:
    """Rolling origins, oldest first, inside what lies before the evaluation slice, which the search never sees."""
    gap, window = use_case.label.available_after, use_case.training.test_window
    folds: list[Fold] = []
    before = last_slice(rows, window, gap).training
    for _ in range(FOLDS):
        fold = last_slice(before, window, gap)
        folds.append(fold)
        before = before.between(None, fold.window.start)
    return tuple(reversed(folds))


def _completed(study: optuna.Study) -> list[Any]:
    from optuna.trial import TrialState

    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


@dataclass(frozen=True)
class _Search:
    """What all trials of a worker have in common."""

    use_case: UseCase
    study: optuna.Study
    folds: tuple[Fold, ...]
    effort: Effort
    time_is_up: Callable[[], bool]

    def run(self, trial: optuna.Trial) -> None:
        """Run one trial and tell the study."""
        from optuna.trial import TrialState

        started = time.monotonic()
        name = trial.suggest_categorical("candidate", list(self.use_case.training.candidates))
        params = CANDIDATES[name].suggest(trial)
        values: list[float] = []
        for fold in self.folds:
            if values and (trial.should_prune() or self.time_is_up()):
                self.study.tell(trial, state=TrialState.PRUNED)
                outcome = "given up"
                break
            value, taught = _try(self.use_case, CANDIDATES[name], params, fold, self.effort)
            trial.report(value, len(values))
            values.append(value)
        else:
            trial.set_user_attr("taught", dict(taught))  # of the latest fold, which is most like what will be fitted
            self.study.tell(trial, sum(values) / len(values))
            outcome = f"{self.use_case.training.metric} {sum(values) / len(values):.4f}"
        _log.info("trial %d: %s, %s, %.1f s, %s", trial.number, name, outcome, time.monotonic() - started, _show(params))


def _try(use_case: UseCase, candidate: Candidate, params: Params, fold: Fold, effort: Effort) -> tuple[float, Params]:
    training, validation = encode_fold(use_case, candidate, params, fold)
    estimator, taught = candidate.fit_watching(training, validation, params, effort)
    scores = candidate.predict(estimator, validation[0])
    return _METRICS[use_case.training.metric](validation[1], scores), taught


def encode_fold(
    use_case: UseCase, candidate: Candidate, params: Params, fold: Fold
) -> tuple[tuple[Matrix, Labels], tuple[Matrix, Labels]]:
    """Training and validation rows as a candidate wants them, encoded by what the training rows alone say."""
    options = candidate.encoding(params)
    encoder = fit_encoder(use_case.features, fold.training, options)
    training = encode_for_training(encoder, fold.training, options)
    return (training, fold.training.labels), (encoder.encode_columns(fold.validation.columns), fold.validation.labels)


def _show(params: Params) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in params.items())
