"""Result of a search: its best trial, or a blend of several that is better by more than noise.

A search on a sample (`noria.training.data.sampling`) ends with a final: its best trials are fitted once on all rows of the
newest fold. The final decides which of them is best on all rows, and gives the fitted parameters (such as the number of
rounds, which grows with the rows).
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
from noria.training.data.sampling import even_sample, sampled
from noria.training.data.splits import search_folds
from noria.training.models.base.estimator import Params
from noria.training.models.base.threads import limited_threads
from noria.training.models.blend import BlendCandidate, BlendMember, BlendSelection, select_blend
from noria.training.models.catalog import BLEND, make_estimator
from noria.training.search.best_trial import BestTrial, read_trial, record_trial
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.plan import SearchPlan, search_plan
from noria.training.search.storage import patiently
from noria.training.search.study import FITTED_PARAMS, KIND, completed, open_study
from noria.training.search.trial import encode_fold

if TYPE_CHECKING:
    import optuna

FINALISTS = 3
_FINAL = "final_{}"
_SETTLED = "settled_{}"


def best_trial(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> BestTrial:
    """The best completed trial of a training set's study, or a blend that beats it; the same study gives the same result.

    Args:
        use_case: candidates, split and metric.
        snapshot: the training set.
        storage_url: PostgreSQL that holds the study.

    Raises:
        NotEnoughDataError: no trial was completed.
    """
    return select(search_plan(use_case, snapshot), storage_url)


def select(plan: SearchPlan, storage_url: str) -> BestTrial:
    """As `best_trial`, for a search that is planned already.

    Raises:
        NotEnoughDataError: no trial was completed.
    """
    with open_study(plan, storage_url) as study:
        trials = completed(study)
        if not trials:
            raise NotEnoughDataError(f"study {study.study_name} has no completed trial: run the search step first")
        if plan.blends and (cached := _cached_selection(study, len(trials))):
            return cached
        best = _select(plan, study, trials)
        if plan.blends:  # the scores of the trials are deleted after registration
            patiently(lambda: study.set_user_attr(_SETTLED.format(len(trials)), record_trial(best)))
        return best


def _select(plan: SearchPlan, study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial]) -> BestTrial:
    many, ranked = plan.snapshot.rows >= plan.sampling.many_rows, _ranked(plan, trials)
    if not many and not plan.blends:
        return _plain(study, ranked[0], len(trials))
    rows = read_snapshot(plan.schema, plan.snapshot, most_in_memory=plan.most_in_memory)
    final = _Final(plan, study, rows if many else None)
    best = final.best(ranked[:FINALISTS], len(trials))
    chosen = _blend(plan, rows, trials) if plan.blends else None
    return best if chosen is None else final.blend(best, chosen)


def _cached_selection(study: optuna.Study, trials: int) -> BestTrial | None:
    """Cached result for this number of completed trials, or None."""
    cached = patiently(lambda: study.user_attrs).get(_SETTLED.format(trials))
    return None if cached is None else read_trial(cached)


def _ranked(plan: SearchPlan, trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    sign = 1 if plan.measure.lower_is_better else -1
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


def _blend(plan: SearchPlan, rows: TrainingSet, trials: Sequence[optuna.trial.FrozenTrial]) -> BlendSelection | None:
    folds, measure = search_folds(plan.split, sampled(rows, plan.seed, plan.sampling)), plan.measure
    labels = np.concatenate([fold.validation.labels for fold in folds])
    candidates = _blend_candidates(plan, len(labels), trials)
    return select_blend(candidates, labels, plan.target, measure.measure, lower_is_better=measure.lower_is_better)


def _blend_candidates(plan: SearchPlan, rows: int, trials: Sequence[optuna.trial.FrozenTrial]) -> list[BlendCandidate]:
    """Trials whose scores of the validation rows were stored."""
    stored = HeldOutScores.of(plan.snapshot, plan.study)
    shape = (rows, plan.target.classes) if plan.target.outputs > 1 else (rows,)
    candidates = []
    for trial in trials:
        kind = trial.user_attrs[KIND]
        scores = stored.read(trial.number, shape) if kind in plan.searched else None
        if scores is not None:
            candidates.append(BlendCandidate(kind, _params(trial), trial.number, scores.astype(np.float64)))
    return candidates


@dataclass(frozen=True)
class _Final:
    """Fits on all rows of the newest fold, for a search that saw a sample; results are cached in the study.

    Attributes:
        plan: the search.
        study: where results are cached.
        rows: all rows; None if the search has seen them.
    """

    plan: SearchPlan
    study: optuna.Study
    rows: TrainingSet | None

    def best(self, ranked: Sequence[optuna.trial.FrozenTrial], trials: int) -> BestTrial:
        """The best of the finalists."""
        finalists = [_plain(self.study, trial, trials) for trial in ranked]
        if self.rows is None:
            return finalists[0]
        results = [self._result(one.candidate, one.params, one.number) for one in finalists]
        values = [one["value"] for one in results]
        index = int(np.argmin(values) if self.plan.measure.lower_is_better else np.argmax(values))
        best = finalists[index]
        return replace(best, params={**best.params, **results[index]["taught"]}, value=values[index])

    def blend(self, best: BestTrial, chosen: BlendSelection) -> BestTrial:
        """A blend whose members have the fitted parameters of all rows."""
        members = chosen.members if self.rows is None else tuple(map(self._refitted, chosen.members))
        return replace(best, candidate=BLEND, params={}, value=chosen.value, members=members)

    def _refitted(self, member: BlendMember) -> BlendMember:
        fitted_params = self._result(member.candidate, member.params, member.number)["taught"]
        return replace(member, params={**member.params, **fitted_params})

    def _result(self, candidate: str, params: Params, number: int) -> Mapping[str, Any]:
        name = _FINAL.format(number)
        cached: Mapping[str, Any] | None = patiently(lambda: self.study.user_attrs).get(name)
        if cached is not None:
            return cached
        result = self._fit(candidate, params)
        patiently(lambda: self.study.set_user_attr(name, result))
        return result

    def _fit(self, candidate: str, params: Params) -> dict[str, Any]:
        assert self.rows is not None  # noqa: S101 - for the type checker
        plan, kind = self.plan, make_estimator(candidate, self.plan.target)
        newest = search_folds(plan.split, self.rows)[-1]
        training, validation = (even_sample(part, plan.most_in_memory) for part in (newest.training, newest.validation))
        fold = Fold(training, validation, newest.window)
        with limited_threads(plan.context.threads):
            data = encode_fold(plan.features, kind, params, fold, plan.measure.measure)
            estimator, fitted_params = kind.fit_with_validation(data, params, plan.context)
            value = data.metric(data.validation.labels, kind.predict(estimator, data.validation.matrix))
            return {"value": value, "taught": dict(fitted_params)}
