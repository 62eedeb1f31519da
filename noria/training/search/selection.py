"""What a search settled on: its best trial, or a blend of several where that is better by more than noise.

A search on a sample (`noria.training.data.sampling`) ends with a final: its best trials are fitted once on all rows of the
newest fold. They say which of them is best where it counts, and what the validation rows teach (such as the number of
rounds, of which more rows want more).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.training.data.dataset import Fold, TrainingSet, read_snapshot
from noria.training.data.parquet_columns import MOST_IN_MEMORY
from noria.training.data.sampling import MANY_ROWS, sampled
from noria.training.data.splits import search_folds
from noria.training.data.target import target_of
from noria.training.models.base.estimator import FitContext, Params
from noria.training.models.base.threads import limited_threads, threads_per_worker
from noria.training.models.blend import BlendCandidate, BlendMember, BlendSelection, select_blend
from noria.training.models.catalog import BLEND
from noria.training.models.trees.external_memory import evenly
from noria.training.search.best_trial import BestTrial, read_trial, record_trial
from noria.training.search.initial_trials import kind_of, searched_kinds
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.search_metric import search_measure
from noria.training.search.storage import patiently
from noria.training.search.study import FITTED_PARAMS, KIND, completed, open_study
from noria.training.search.trial import encode_fold

if TYPE_CHECKING:
    import optuna

FINALISTS = 3
_FINAL = "final_{}"
_SETTLED = "settled_{}"
__all__ = ["BestTrial", "best_trial"]


def best_trial(use_case: UseCase, snapshot: SnapshotRef, storage_url: str, *, study_name: str | None = None) -> BestTrial:
    """The best completed trial of a training set's study, or the blend that beats it; the same study gives the same.

    Args:
        use_case: what the business wants.
        snapshot: the training set.
        storage_url: PostgreSQL that holds the study.
        study_name: another study than the training set's own.

    Raises:
        NotEnoughDataError: no trial was completed.
    """
    with open_study(use_case, snapshot, storage_url, seed=use_case.training.seed, name=study_name) as study:
        trials = completed(study)
        if not trials:
            raise NotEnoughDataError(f"study {study.study_name} has no completed trial: run the search step first")
        many, blends = snapshot.rows >= MANY_ROWS, BLEND in use_case.training.candidates
        if not many and not blends:
            return _plain(study, _ranked(use_case, trials)[0], len(trials))
        if blends and (settled := _settled(study, len(trials))):
            return settled
        rows = read_snapshot(use_case, snapshot)
        final = _Final(use_case, study, rows if many else None)
        best = final.best(_ranked(use_case, trials)[:FINALISTS], len(trials))
        chosen = _blend(use_case, rows, HeldOutScores.of(snapshot, study.study_name), trials) if blends else None
        found = best if chosen is None else final.blend(best, chosen)
        if blends:  # what the trials said of their validation rows is not kept for ever
            patiently(lambda: study.set_user_attr(_SETTLED.format(len(trials)), record_trial(found)))
        return found


def _settled(study: optuna.Study, trials: int) -> BestTrial | None:
    """What so many completed trials came to, where that was found out before."""
    known = patiently(lambda: study.user_attrs).get(_SETTLED.format(trials))
    return None if known is None else read_trial(known)


def _ranked(use_case: UseCase, trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    sign = 1 if search_measure(use_case).lower_is_better else -1
    return sorted(trials, key=lambda trial: (sign * trial.values[0], trial.number))


def _plain(study: optuna.Study, trial: optuna.trial.FrozenTrial, trials: int) -> BestTrial:
    return BestTrial(
        candidate=trial.user_attrs[KIND],
        params=_params(trial),
        number=trial.number,
        value=float(trial.values[0]),
        study=study.study_name,
        trials=trials,
    )


def _params(trial: optuna.trial.FrozenTrial) -> dict[str, float]:
    chosen = {name: value for name, value in trial.params.items() if name != KIND}
    return {**chosen, **trial.user_attrs[FITTED_PARAMS]}


def _blend(
    use_case: UseCase, rows: TrainingSet, kept: HeldOutScores, trials: Sequence[optuna.trial.FrozenTrial]
) -> BlendSelection | None:
    labels = np.concatenate([fold.validation.labels for fold in _folds(use_case, rows)])
    target, measure, searched = target_of(use_case), search_measure(use_case), searched_kinds(use_case)
    shape = (len(labels), target.classes) if target.outputs > 1 else (len(labels),)
    contenders = []
    for trial in trials:
        scores = kept.read(trial.number, shape) if trial.user_attrs[KIND] in searched else None
        if scores is not None:
            contenders.append(
                BlendCandidate(trial.user_attrs[KIND], _params(trial), trial.number, scores.astype(np.float64))
            )
    return select_blend(contenders, labels, target, measure.measure, lower_is_better=measure.lower_is_better)


def _folds(use_case: UseCase, rows: TrainingSet) -> Any:
    return search_folds(use_case, sampled(rows, use_case.training.seed))


def _in_memory(fold: Fold) -> Fold:
    """The fold, or of more rows than memory is to hold as many as that, evenly spread: a watched fit wants them there."""
    training, validation = evenly(fold.training, MOST_IN_MEMORY), evenly(fold.validation, MOST_IN_MEMORY)
    return Fold(training, validation, fold.window)


@dataclass(frozen=True)
class _Final:
    """Fits on all rows of the newest fold, where the search saw a sample; what was found out is kept with the study.

    Attributes:
        use_case: what the business wants.
        study: the search.
        rows: all rows; None where the search has seen them.
    """

    use_case: UseCase
    study: optuna.Study
    rows: TrainingSet | None

    def best(self, ranked: Sequence[optuna.trial.FrozenTrial], trials: int) -> BestTrial:
        """The best of the finalists."""
        plain = [_plain(self.study, trial, trials) for trial in ranked]
        if self.rows is None:
            return plain[0]
        measure = search_measure(self.use_case)
        found = [self._fitted(one.candidate, one.params, one.number) for one in plain]
        values = [one["value"] for one in found]
        place = int(np.argmin(values) if measure.lower_is_better else np.argmax(values))
        return replace(plain[place], params={**plain[place].params, **found[place]["taught"]}, value=values[place])

    def blend(self, best: BestTrial, chosen: BlendSelection) -> BestTrial:
        """A blend, with members that were taught by all rows."""
        members = chosen.members if self.rows is None else tuple(map(self._taught, chosen.members))
        return replace(best, candidate=BLEND, params={}, value=chosen.value, members=members)

    def _taught(self, member: BlendMember) -> BlendMember:
        fitted_params = self._fitted(member.candidate, member.params, member.number)["taught"]
        return replace(member, params={**member.params, **fitted_params})

    def _fitted(self, candidate: str, params: Params, number: int) -> Mapping[str, Any]:
        name = _FINAL.format(number)
        known = patiently(lambda: self.study.user_attrs).get(name)
        if known is None:
            known = self._fit(candidate, params)
            patiently(lambda: self.study.set_user_attr(name, known))
        found: Mapping[str, Any] = known
        return found

    def _fit(self, candidate: str, params: Params) -> dict[str, Any]:
        assert self.rows is not None  # noqa: S101 - for the type checker: asked only where there are rows
        kind, fold = kind_of(self.use_case, candidate), _in_memory(search_folds(self.use_case, self.rows)[-1])
        measure, training = search_measure(self.use_case).measure, self.use_case.training
        context = FitContext(training.seed, threads_per_worker(training.workers))
        with limited_threads(context.threads):
            data = encode_fold(self.use_case.features, kind, params, fold, measure)
            estimator, fitted_params = kind.fit_with_validation(data, params, context)
            value = measure(data.validation.labels, kind.predict(estimator, data.validation.matrix))
            return {"value": value, "taught": dict(fitted_params)}
