"""One trial of the search: fit on every fold, report as it goes, and stop where going on is not worth it."""

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
from noria.training.models.base.estimator import EncodedRows, Estimator, FitData, Metric, Params, TrialPruned
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
"""A fold's reports are numbered from its own multiple of this: more than any kind has rounds."""
REPORT_EVERY = 50
"""Rounds between two reports to PostgreSQL; decisions are made at every call of the watch."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialRunner:
    """What all trials of a worker have in common."""

    plan: SearchPlan
    study: optuna.Study
    queue: TrialQueue
    folds: tuple[Fold, ...]
    budget: Budget
    held_out: HeldOutScores

    def run(self, trial: optuna.Trial) -> None:
        """Run one trial and tell the study."""
        started = time.monotonic()
        name = self._kind(trial)
        kind = make_estimator(name, self.plan.target)
        progress = _Progress(self, trial, name, patiently(lambda: kind.suggest(trial)))
        try:
            for number in range(len(self.folds)):
                progress.fold(kind, number)
            outcome = progress.complete(time.monotonic() - started)
        except TrialPruned as reason:
            outcome = progress.give_up(str(reason), time.monotonic() - started)
        seconds = time.monotonic() - started
        _log.info("trial %d: %s, %s, %.1f s, %s", trial.number, name, outcome, seconds, self._state(progress.params))

    def _kind(self, trial: optuna.Trial) -> str:
        searched, marked = self.plan.searched, trial.user_attrs.get(KIND)
        if marked is not None and marked not in searched:
            return str(marked)
        name = str(patiently(lambda: trial.suggest_categorical(KIND, list(searched))))
        patiently(lambda: trial.set_user_attr(KIND, name))
        return name

    def _state(self, params: Params) -> str:
        done = f"{self.queue.finished()} of {self.plan.limits.trials} trials"
        shown = " ".join(f"{name}={value:.4g}" for name, value in params.items())
        return ", ".join(part for part in (done, self.budget.in_words(), shown) if part)


@dataclass
class _Progress:
    """How far a trial has come."""

    runner: TrialRunner
    trial: optuna.Trial
    kind: str
    params: Params
    values: list[float] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    fitted_params: list[Params] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Others are compared with as they stand now: one worker alone decides the same every time."""
        trials = completed(self.runner.study)
        same_kind = any(trial.user_attrs.get(KIND) == self.kind for trial in trials)
        folds = [trial.user_attrs[FOLDS] for trial in trials if FOLDS in trial.user_attrs] if same_kind else []
        self._anyone = bool(trials)
        self._peers = Pruner(folds, self.runner.plan.measure.lower_is_better)

    def fold(self, candidate: Estimator, number: int) -> None:
        """Fit on one fold and judge the result there.

        Raises:
            GivenUp: going on is not worth it, or the time is up.
        """
        self.curve = []
        fold, runner = self.runner.folds[number], self.runner
        plan = runner.plan
        data = encode_fold(plan.features, candidate, self.params, fold, plan.measure.measure)
        estimator, fitted_params = candidate.fit_with_validation(
            data, self.params, plan.context, lambda step, value: self._watch(number, step, value)
        )
        self.fitted_params.append(fitted_params)
        self.scores.append(candidate.predict(estimator, data.validation.matrix))
        self.values.append(data.metric(data.validation.labels, self.scores[-1]))
        self._report(FOLD_STEPS * (number + 1) - 1, self.values[-1])
        if number + 1 < len(runner.folds):
            self._go_on(behind=self._peers.behind(self.values), where=f"after fold {number + 1}")

    def complete(self, seconds: float) -> str:
        """Tell the study what the trial reached."""
        value = sum(self.values) / len(self.values)
        if self.runner.plan.blends:
            self.runner.held_out.keep(self.trial.number, self.scores)
        self._tell({SECONDS: seconds, FOLDS: self.values, FITTED_PARAMS: self._lesson()}, value)
        measure, values = self.runner.plan.measure, [value, *(trial.values[0] for trial in completed(self.runner.study))]
        best = min(values) if measure.lower_is_better else max(values)
        return f"{measure.name} {value:.4f} (best {best:.4f})"

    def give_up(self, reason: str, seconds: float) -> str:
        """Tell the study that the trial was not gone on with."""
        self._tell({SECONDS: seconds, ENDED: reason}, None)
        return f"given up {reason}"

    def _lesson(self) -> dict[str, float]:
        """Of the newest fold, which is most like what will be fitted; of folds drawn at random, the mean."""
        if self.runner.plan.split.by is SplitBy.TIME:
            return dict(self.fitted_params[-1])
        return {
            name: type(last)(np.mean([one[name] for one in self.fitted_params]))
            for name, last in self.fitted_params[-1].items()
        }

    def _watch(self, number: int, step: int, value: float) -> None:
        self.curve.append((step, value))
        if not math.isfinite(value):
            raise TrialPruned(f"in round {step} of fold {number + 1}: its metric is not a number")
        if step % REPORT_EVERY == 0:
            self.runner.queue.sign_of_life()
            self._report(FOLD_STEPS * number + min(step, FOLD_STEPS - 2), value)
        behind = self._peers.hopeless(number, self.curve)
        self._go_on(behind=behind, where=f"in round {step} of fold {number + 1}")

    def _go_on(self, *, behind: bool, where: str) -> None:
        if behind:
            raise TrialPruned(f"{where}: others are ahead")
        if self._anyone and self.runner.budget.left <= 0:
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
            # An answer can be lost after the server has acted: a second call changes nothing.
            self.runner.study.tell(self.trial, value, state=state, skip_if_finished=True)

        try:
            patiently(tell)
        except UpdateFinishedTrialError:
            _log.warning("trial %d was taken for interrupted and is offered again", self.trial.number)


def encode_fold(features: Features, candidate: Estimator, params: Params, fold: Fold, metric: Metric) -> FitData:
    """Training and validation rows as a kind of model wants them, encoded by an encoder fitted to the training rows."""
    options = candidate.encoding(params)
    encoder = fit_encoder(features, fold.training, options)
    return FitData(
        training=EncodedRows(encode_for_training(encoder, fold.training, options), fold.training.labels),
        validation=EncodedRows(encode(encoder, fold.validation), fold.validation.labels),
        metric=metric,
    )
