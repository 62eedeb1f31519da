"""One trial of the search: fits on every fold, reports its progress, and ends early if it cannot catch up."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.model.decision import Scores
from noria.core.use_case import Features, SplitBy
from noria.training.data.dataset import Fold
from noria.training.data.encoding import encode, encode_for_training, fit_encoder
from noria.training.data.search_metric import Metric
from noria.training.models.base.estimator import EncodedRows, Estimator, FitData, Params, TrialPruned
from noria.training.models.catalog import make_estimator
from noria.training.search.budget import Budget
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.plan import SearchPlan
from noria.training.search.pruning import Pruner
from noria.training.search.storage import patiently
from noria.training.search.study import ENDED, FITTED_PARAMS, FOLDS, KIND, SECONDS, completed
from noria.training.search.trial_queue import TrialQueue

if TYPE_CHECKING:
    import optuna

FOLD_STEPS = 10_000
"""Reports of a fold are numbered from its multiple of this, which is more than the rounds of any kind."""
REPORT_EVERY = 50
"""Rounds between two reports to PostgreSQL; the pruner decides at every call of `OnRound`."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialRunner:
    """Runs the trials of one worker.

    Attributes:
        plan: the search.
        study: of the trials.
        queue: counts the trials, and keeps the lock of the worker.
        folds: training and validation rows.
        budget: what is left of the limits.
        held_out: stores the scores of completed trials.
    """

    plan: SearchPlan
    study: optuna.Study
    queue: TrialQueue
    folds: tuple[Fold, ...]
    budget: Budget
    held_out: HeldOutScores

    def run(self, trial: optuna.Trial) -> None:
        """Run one trial and record its result in the study.

        Raises:
            NoriaError: PostgreSQL cannot be reached, or another process has taken this worker's lock.
        """
        started = time.monotonic()
        name = self._kind(trial)
        kind = make_estimator(name, self.plan.target)
        progress = _Progress(self, trial, name, patiently(lambda: kind.suggest(trial)))
        try:
            for number in range(len(self.folds)):
                progress.fold(kind, number)
            outcome = progress.complete(time.monotonic() - started)
        except TrialPruned as reason:
            outcome = progress.prune(str(reason), time.monotonic() - started)
        seconds = time.monotonic() - started
        _log.info("trial %d: %s, %s, %.1f s, %s", trial.number, name, outcome, seconds, self._state(progress.params))

    def _kind(self, trial: optuna.Trial) -> str:
        enqueued = trial.user_attrs.get(KIND)
        if enqueued is not None and enqueued not in self.plan.searched:
            return str(enqueued)
        name = str(patiently(lambda: trial.suggest_categorical(KIND, list(self.plan.searched))))
        patiently(lambda: trial.set_user_attr(KIND, name))
        return name

    def _state(self, params: Params) -> str:
        done = f"{self.queue.finished()} of {self.plan.limits.trials} trials"
        shown = " ".join(f"{name}={value:.4g}" for name, value in params.items())
        return ", ".join(part for part in (done, self.budget.in_words(), shown) if part)


@dataclass
class _Progress:
    """Progress of one trial.

    Attributes:
        runner: of the worker.
        trial: of the study.
        kind: name of the kind of model.
        params: hyperparameters.
        values: the search metric on each fold so far.
        scores: of the validation rows of each fold so far.
        fitted_params: of each fold so far.
        curve: rounds of the current fold, each with the metric after it.
    """

    runner: TrialRunner
    trial: optuna.Trial
    kind: str
    params: Params
    values: list[float] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    fitted_params: list[Params] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take the completed trials of this moment, so that a single worker decides the same every time."""
        trials = completed(self.runner.study)
        same_kind = any(trial.user_attrs.get(KIND) == self.kind for trial in trials)
        folds = [trial.user_attrs[FOLDS] for trial in trials if FOLDS in trial.user_attrs] if same_kind else []
        self._any_completed = bool(trials)
        self._pruner = Pruner(folds, self.runner.plan.measure.lower_is_better)

    def fold(self, kind: Estimator, number: int) -> None:
        """Fit on one fold and measure the result.

        Raises:
            TrialPruned: the trial cannot catch up, or the time is up.
        """
        self.curve = []
        plan, fold = self.runner.plan, self.runner.folds[number]
        data = encode_fold(plan.features, kind, self.params, fold, plan.measure.measure)
        estimator, fitted_params = kind.fit_with_validation(
            data, self.params, plan.context, lambda step, value: self._on_round(number, step, value)
        )
        self.fitted_params.append(fitted_params)
        self.scores.append(kind.predict(estimator, data.validation.matrix))
        self.values.append(data.metric(data.validation.labels, self.scores[-1]))
        self._report(FOLD_STEPS * (number + 1) - 1, self.values[-1])
        if number + 1 < len(self.runner.folds):
            behind = self._pruner.should_prune_after_fold(self.values)
            self._continue_unless(behind, f"after fold {number + 1}")

    def complete(self, seconds: float) -> str:
        """Record the result in the study; returns it in words."""
        value = sum(self.values) / len(self.values)
        if self.runner.plan.blends:
            self.runner.held_out.keep(self.trial.number, self.scores)
        self._tell({SECONDS: seconds, FOLDS: self.values, FITTED_PARAMS: self._fitted()}, value)
        measure, values = self.runner.plan.measure, [value, *(trial.values[0] for trial in completed(self.runner.study))]
        best = min(values) if measure.lower_is_better else max(values)
        return f"{measure.name} {value:.4f} (best {best:.4f})"

    def prune(self, reason: str, seconds: float) -> str:
        """Record in the study that the trial was pruned; returns the reason in words."""
        self._tell({SECONDS: seconds, ENDED: reason}, None)
        return f"pruned {reason}"

    def _fitted(self) -> dict[str, float]:
        """Fitted parameters of the newest fold, which is most like the final fits; for random folds, their means."""
        if self.runner.plan.split.by is SplitBy.TIME:
            return dict(self.fitted_params[-1])
        return {
            name: type(last)(np.mean([one[name] for one in self.fitted_params]))
            for name, last in self.fitted_params[-1].items()
        }

    def _on_round(self, number: int, step: int, value: float) -> None:
        self.curve.append((step, value))
        if not math.isfinite(value):
            raise TrialPruned(f"in round {step} of fold {number + 1}: its metric is not a number")
        if step % REPORT_EVERY == 0:
            self.runner.queue.renew_lock()
            self._report(FOLD_STEPS * number + min(step, FOLD_STEPS - 2), value)
        behind = self._pruner.should_prune_in_fold(number, self.curve)
        self._continue_unless(behind, f"in round {step} of fold {number + 1}")

    def _continue_unless(self, behind: bool, where: str) -> None:
        if behind:
            raise TrialPruned(f"{where}: others are ahead")
        if self._any_completed and self.runner.budget.left <= 0:
            raise TrialPruned(f"{where}: the time is up")

    def _report(self, step: int, value: float) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        if not math.isfinite(value):
            raise TrialPruned(f"after fold {len(self.values)}: its metric is not a number")
        try:
            patiently(lambda: self.trial.report(value, step))
        except UpdateFinishedTrialError as error:
            raise TrialPruned("because another worker took it for interrupted and offers it again") from error

    def _tell(self, facts: dict[str, Any], value: float | None) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        state = TrialState.PRUNED if value is None else TrialState.COMPLETE

        def tell() -> None:
            for name, fact in facts.items():
                self.trial.set_user_attr(name, fact)
            # An answer can be lost after the server has executed the call: a second call changes nothing.
            self.runner.study.tell(self.trial, value, state=state, skip_if_finished=True)

        try:
            patiently(tell)
        except UpdateFinishedTrialError:
            _log.warning("trial %d was taken for interrupted and is offered again", self.trial.number)


def encode_fold(features: Features, kind: Estimator, params: Params, fold: Fold, metric: Metric) -> FitData:
    """Encoded training and validation rows; the encoder is fitted to the training rows.

    Args:
        features: columns that a model may use.
        kind: has the encoding.
        params: hyperparameters of the encoding.
        fold: the rows.
        metric: the search metric.
    """
    options = kind.encoding(params)
    encoder = fit_encoder(features, fold.training, options)
    return FitData(
        training=EncodedRows(encode_for_training(encoder, fold.training, options), fold.training.labels),
        validation=EncodedRows(encode(encoder, fold.validation), fold.validation.labels),
        metric=metric,
    )
