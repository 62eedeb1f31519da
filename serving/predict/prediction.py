"""Predictions of one request: check instances, score, decide; split between champion and challenger."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

import msgspec

from noria.core.base.errors import InstanceError
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.model.decision import Scores
from noria.core.use_case import InputPolicy
from serving.contract.answers import Answers, answers_of, answers_of_one
from serving.contract.errors import FieldProblem
from serving.contract.input_checks import InputConcern, problem
from serving.contract.prediction_id import uuid7
from serving.contract.request_schema import Instance
from serving.models.rollouts import ActiveRollout
from serving.models.served_model import ServedModel
from serving.predict.reasons import FieldReason, explain
from serving.predict.scoring import raw_scores, score_instances, score_one

_log = logging.getLogger(__name__)
_CHAMPION, _CHALLENGER, _SHADOW, _RULE = "champion", "challenger", "shadow", "rule"


class RequestContext(NamedTuple):
    """Facts of a request beside its instances.

    Attributes:
        request_id: the caller's, or a new one.
        caller: name of the API key; empty if no key is needed.
        now: time at which the request came.
        reasons: number of reasons wanted for each prediction.
        alone: whether no challenger may answer, since the caller wants the version that it named.
    """

    request_id: str
    caller: str
    now: datetime
    reasons: int = 0
    alone: bool = False


class AnsweredPrediction(msgspec.Struct, kw_only=True, gc=False):
    """The answer for one instance, as it is sent; `serving.http.schemas` documents the fields."""

    id: str
    score: float
    decision: bool | str | float
    threshold: float | msgspec.UnsetType = msgspec.UNSET
    probabilities: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    version: str
    warnings: list[InputConcern] | msgspec.UnsetType = msgspec.UNSET
    reasons: list[FieldReason] | msgspec.UnsetType = msgspec.UNSET


class Group(NamedTuple):
    """Predictions of one version.

    Attributes:
        alias: champion, challenger, shadow or rule.
        places: of its instances in the request.
    """

    model: ServedModel
    alias: str
    places: Sequence[int]
    answers: Answers
    predictions: list[AnsweredPrediction]


class ChallengerResult(NamedTuple):
    """Result of scoring with a challenger.

    Attributes:
        group: its predictions; None if it has none.
        invalid: reason why its scores are not valid; empty if they are, or it has none.
    """

    group: Group | None
    invalid: str


class PredictResult(NamedTuple):
    """Every prediction of a request.

    Attributes:
        predictions: in the order of the instances.
        groups: the same, by version.
        logged: whether they were recorded; not if the journal is full and the setting says to answer nevertheless.
    """

    predictions: list[AnsweredPrediction]
    groups: list[Group]
    logged: bool = True


class Batch(NamedTuple):
    """Instances that are predicted together.

    Attributes:
        places: of the instances in the request.
        ids: of their predictions.
    """

    places: Sequence[int]
    ids: Sequence[str]
    instances: Sequence[Instance]

    def part(self, places: Sequence[int]) -> Batch:
        """The instances at some places."""
        return Batch(places, [self.ids[place] for place in places], [self.instances[place] for place in places])


def batch_of(instances: Sequence[Instance], context: RequestContext) -> Batch:
    """All instances of a request, each with an id for its prediction."""
    return Batch(range(len(instances)), [uuid7(context.now) for _ in instances], instances)


def predict(
    model: ServedModel, instances: Sequence[Instance], context: RequestContext, rollout: ActiveRollout | None = None
) -> PredictResult:
    """Predict every instance of a request.

    Args:
        model: the champion.
        instances: to predict.
        context: of the request.
        rollout: challenger that gets a share of the instances, or None. If it fails, the champion answers.

    Raises:
        InstanceError: the use case refuses values that training did not see; lists all of them.
        UnscorableError: an instance has no score.
        NoReasonsError: reasons are wanted, and the version has none.
    """
    if rollout is None and len(instances) == 1 and not context.reasons:
        return _predict_one(model, instances[0], context)
    warnings = warnings_of(model, instances)
    batch = batch_of(instances, context)
    if rollout is None or rollout.shadow:
        group = group_of(model, alias_of(model), batch)
        groups, predictions = [group], group.predictions
    else:
        groups = _shared(model, rollout, batch)
        predictions = _in_order(groups, len(instances))
    for place, unusual in warnings:
        predictions[place].warnings = unusual
    if context.reasons:  # after the guard has measured: time to explain does not count against a challenger
        for group in groups:
            _explain(group, instances, context.reasons)
    return PredictResult(predictions, groups)


def predict_batch(
    model: ServedModel, instances: Sequence[Instance], contexts: Sequence[RequestContext]
) -> list[PredictResult]:
    """Predict one instance for each of several requests; each group holds the answers to all of them.

    Raises:
        InstanceError, UnscorableError: as `predict`, of any of them.
    """
    warnings = dict(warnings_of(model, instances))
    answers = _answers(model, instances)
    predictions = _predictions(model.version, answers, [uuid7(context.now) for context in contexts])
    for place, unusual in warnings.items():
        predictions[place].warnings = unusual
    alias = alias_of(model)
    return [PredictResult([one], [Group(model, alias, (0,), answers, [one])]) for one in predictions]


def _predict_one(model: ServedModel, instance: Instance, context: RequestContext) -> PredictResult:
    """The most common request, without the lists that others need."""
    warnings = warnings_of(model, (instance,)) if model.input_checks.find(instance.features) else ()
    answers = _answers(model, (instance,))
    predictions = _predictions(model.version, answers, (uuid7(context.now),))
    for _, unusual in warnings:
        predictions[0].warnings = unusual
    return PredictResult(predictions, [Group(model, alias_of(model), (0,), answers, predictions)])


def _explain(group: Group, instances: Sequence[Instance], count: int) -> None:
    rows = [instances[place].features for place in group.places]
    explained = explain(group.model, rows, count, group.answers.decisions)
    for prediction, reasons in zip(group.predictions, explained, strict=True):
        prediction.reasons = reasons


def warnings_of(model: ServedModel, instances: Sequence[Instance]) -> list[tuple[int, list[InputConcern]]]:
    """Values to warn of, by place of the instance.

    Raises:
        InstanceError: the use case refuses values that training did not see; lists all of them.
    """
    find = model.input_checks.find
    refused: list[FieldProblem] = []
    warned: list[tuple[int, list[InputConcern]]] = []
    for place, instance in enumerate(instances):
        if concerns := find(instance.features):
            where = f"instances[{place}]"
            refused += [problem(where, concern) for policy, concern in concerns if policy is InputPolicy.REFUSE]
            warned.append((place, [concern for _, concern in concerns]))
    if refused:
        raise InstanceError(refused)
    return warned


def predict_in_shadow(rollout: ActiveRollout, instances: Sequence[Instance], context: RequestContext) -> ChallengerResult:
    """Score with the challenger in shadow mode: recorded, not returned to the caller."""
    return try_challenger(rollout, batch_of(instances, context), _SHADOW)


def alias_of(model: ServedModel) -> str:
    """Alias, in log and counters, of a version that answers alone."""
    return _RULE if model.version == BASELINE_VERSION else _CHAMPION


def group_of(model: ServedModel, alias: str, batch: Batch, scores: Scores | None = None) -> Group:
    """Predictions of a batch by one version, from valid scores; the version scores if they are None."""
    answers = _answers(model, batch.instances) if scores is None else answers_of(model.policy, scores)
    predictions = _predictions(model.version, answers, batch.ids)
    return Group(model, alias, batch.places, answers, predictions)


def _answers(model: ServedModel, instances: Sequence[Instance]) -> Answers:
    if len(instances) == 1 and (score := score_one(model, instances[0])) is not None:
        return answers_of_one(model.policy, score)
    return answers_of(model.policy, score_instances(model, instances))


def _shared(model: ServedModel, rollout: ActiveRollout, batch: Batch) -> list[Group]:
    """The instances split between champion and challenger; the guard sees both."""
    keys = [instance.entity or identity for instance, identity in zip(batch.instances, batch.ids, strict=True)]
    taken = [rollout.takes(key) for key in keys]
    groups = []
    if champions := [place for place, is_taken in enumerate(taken) if not is_taken]:
        groups.append(_by_champion(model, rollout, batch.part(champions)))
    if challengers := [place for place, is_taken in enumerate(taken) if is_taken]:
        groups.append(_by_challenger(model, rollout, batch.part(challengers)))
    return groups


def _by_champion(model: ServedModel, rollout: ActiveRollout, batch: Batch) -> Group:
    started = perf_counter()
    group = group_of(model, alias_of(model), batch)
    rollout.observe(False, len(batch.places), perf_counter() - started, False)
    return group


def _by_challenger(model: ServedModel, rollout: ActiveRollout, batch: Batch) -> Group:
    """Predictions by the challenger; by the champion if it fails."""
    started = perf_counter()
    result = try_challenger(rollout, batch, _CHALLENGER)
    # raises if the request itself is at fault, which does not count against the challenger
    group = result.group or group_of(model, alias_of(model), batch)
    rollout.observe(True, len(batch.places), perf_counter() - started, result.group is None, result.invalid)
    return group


def try_challenger(rollout: ActiveRollout, batch: Batch, alias: str) -> ChallengerResult:
    """Predictions by a challenger; no failure of a new version may reach a caller."""
    rows = [instance.features for instance in batch.instances]
    try:
        scores = raw_scores(rollout.challenger, rows)
        if invalid := rollout.fault(scores, len(rows)):
            return ChallengerResult(None, invalid)
        return ChallengerResult(group_of(rollout.challenger, alias, batch, scores), "")
    except Exception:
        _log.warning("version %s of %s failed", rollout.challenger.version, rollout.challenger.name, exc_info=True)
        return ChallengerResult(None, "")


def _predictions(version: str, answers: Answers, ids: Sequence[str]) -> list[AnsweredPrediction]:
    threshold: float | msgspec.UnsetType = msgspec.UNSET if answers.threshold is None else answers.threshold
    if answers.task.is_multiclass:
        rows = zip(ids, answers.scores, answers.decisions, answers.probabilities, strict=True)
        return [
            AnsweredPrediction(id=identity, score=score, decision=decision, probabilities=probabilities, version=version)
            for identity, score, decision, probabilities in rows
        ]
    return [
        AnsweredPrediction(id=identity, score=score, decision=decision, threshold=threshold, version=version)
        for identity, score, decision in zip(ids, answers.scores, answers.decisions, strict=True)
    ]


def _in_order(groups: Sequence[Group], count: int) -> list[AnsweredPrediction]:
    placed: dict[int, AnsweredPrediction] = {
        place: one for group in groups for place, one in zip(group.places, group.predictions, strict=True)
    }
    return [placed[place] for place in range(count)]
