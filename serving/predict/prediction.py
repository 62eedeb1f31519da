"""Scores instances, decides, and writes the prediction down before anybody is told."""

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
    """Who asks, and for what.

    Attributes:
        request_id: the caller's, or ours.
        caller: name of the API key; empty where nobody needs one.
        now: when the request came.
        reasons: how many reasons are wanted for each prediction.
        alone: no challenger may answer; the caller wants the version that it named.
    """

    request_id: str
    caller: str
    now: datetime
    reasons: int = 0
    alone: bool = False


class AnsweredPrediction(msgspec.Struct, kw_only=True, gc=False):
    """The answer for one instance, as it is sent; `serving.http.schemas` says what the fields mean."""

    id: str
    score: float
    decision: bool | str | float
    threshold: float | msgspec.UnsetType = msgspec.UNSET
    probabilities: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    version: str
    warnings: list[InputConcern] | msgspec.UnsetType = msgspec.UNSET
    reasons: list[FieldReason] | msgspec.UnsetType = msgspec.UNSET


class Group(NamedTuple):
    """Predictions that one version made.

    Attributes:
        alias: champion, challenger or rule.
        places: of its instances in the request.
    """

    model: ServedModel
    alias: str
    places: Sequence[int]
    answers: Answers
    predictions: list[AnsweredPrediction]


class ChallengerResult(NamedTuple):
    """What came of asking a challenger.

    Attributes:
        group: its predictions; None where it has none.
        invalid: why its scores are no answers; empty where they are, or it has none.
    """

    group: Group | None
    invalid: str


class PredictResult(NamedTuple):
    """Every prediction of a request.

    Attributes:
        predictions: in the order of the instances.
        groups: the same, by version.
        logged: whether they were kept; they are not where the journal is full, and the setting says to answer nevertheless.
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
    asked: RequestContext

    def part(self, places: Sequence[int]) -> Batch:
        """Some of them."""
        return Batch(places, [self.ids[place] for place in places], [self.instances[place] for place in places], self.asked)


def batch_of(instances: Sequence[Instance], asked: RequestContext) -> Batch:
    """All instances of a request, each with an id for its prediction."""
    return Batch(range(len(instances)), [uuid7(asked.now) for _ in instances], instances, asked)


def predict(
    model: ServedModel, instances: Sequence[Instance], asked: RequestContext, rollout: ActiveRollout | None = None
) -> PredictResult:
    """Predict every instance of a request.

    Args:
        model: the champion.
        instances: what to predict.
        asked: who asks, and for what.
        rollout: the challenger that gets a share of the instances; None where there is none. Where it fails, the champion
            answers.

    Raises:
        InstanceError: the use case refuses values that training did not see; lists all of them.
        UnscorableError: an instance has no score.
        NoReasonsError: reasons are wanted, and the version has none.
    """
    if rollout is None and len(instances) == 1 and not asked.reasons:
        return _predict_one(model, instances[0], asked)
    warnings = concerns_of(model, instances)
    batch = batch_of(instances, asked)
    if rollout is None or rollout.shadow:
        group = group_of(model, alias_of(model), batch)
        groups, predictions = [group], group.predictions
    else:
        groups = _shared(model, rollout, batch)
        predictions = _in_order(groups, len(instances))
    for place, concerns in warnings:
        predictions[place].warnings = concerns
    if asked.reasons:  # after the guard has looked: what it takes to explain is nothing against a challenger
        for group in groups:
            _explain(group, instances, asked.reasons)
    return PredictResult(predictions, groups)


def predict_together(
    model: ServedModel, instances: Sequence[Instance], asked: Sequence[RequestContext]
) -> list[PredictResult]:
    """The same for one instance each of several requests; in every group stand the answers to all of them.

    Raises:
        InstanceError, UnscorableError: as `predict`, of any of them.
    """
    warnings = dict(concerns_of(model, instances))
    answers = _answers(model, instances)
    predictions = _predictions(model.version, answers, [uuid7(by.now) for by in asked])
    for place, concerns in warnings.items():
        predictions[place].warnings = concerns
    alias = alias_of(model)
    return [PredictResult([one], [Group(model, alias, (0,), answers, [one])]) for one in predictions]


def _predict_one(model: ServedModel, instance: Instance, asked: RequestContext) -> PredictResult:
    """The most common request, without the lists that others need."""
    warnings = concerns_of(model, (instance,)) if model.concerns.find(instance.features) else ()
    answers = _answers(model, (instance,))
    predictions = _predictions(model.version, answers, (uuid7(asked.now),))
    for _, concerns in warnings:
        predictions[0].warnings = concerns
    return PredictResult(predictions, [Group(model, alias_of(model), (0,), answers, predictions)])


def _explain(group: Group, instances: Sequence[Instance], count: int) -> None:
    rows = [instances[place].features for place in group.places]
    found = explain(group.model, rows, count, group.answers.decisions)
    for prediction, reasons in zip(group.predictions, found, strict=True):
        prediction.reasons = reasons


def concerns_of(model: ServedModel, instances: Sequence[Instance]) -> list[tuple[int, list[InputConcern]]]:
    """What to warn of, by place of the instance.

    Raises:
        InstanceError: the use case refuses values that training did not see; lists all of them.
    """
    find = model.concerns.find
    refused: list[FieldProblem] = []
    warned: list[tuple[int, list[InputConcern]]] = []
    for place, instance in enumerate(instances):
        if found := find(instance.features):
            where = f"instances[{place}]"
            refused += [problem(where, concern) for treatment, concern in found if treatment is InputPolicy.REFUSE]
            warned.append((place, [concern for _, concern in found]))
    if refused:
        raise InstanceError(refused)
    return warned


def shadow_of(rollout: ActiveRollout, instances: Sequence[Instance], asked: RequestContext) -> ChallengerResult:
    """What a challenger would have said; nobody hears it."""
    return try_challenger(rollout, batch_of(instances, asked._replace(reasons=0)), _SHADOW)


def alias_of(model: ServedModel) -> str:
    """How the log and the counters call a version that answers alone."""
    return _RULE if model.version == BASELINE_VERSION else _CHAMPION


def group_of(model: ServedModel, alias: str, batch: Batch, scores: Scores | None = None) -> Group:
    """Predictions of a batch by one version, from scores that are answers; asked of it where they are not given."""
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
    if left := [place for place, gone in enumerate(taken) if not gone]:
        groups.append(_by_champion(model, rollout, batch.part(left)))
    if gone := [place for place, gone in enumerate(taken) if gone]:
        groups.append(_by_challenger(model, rollout, batch.part(gone)))
    return groups


def _by_champion(model: ServedModel, rollout: ActiveRollout, batch: Batch) -> Group:
    started = perf_counter()
    group = group_of(model, alias_of(model), batch)
    rollout.observe(False, len(batch.places), perf_counter() - started, False)
    return group


def _by_challenger(model: ServedModel, rollout: ActiveRollout, batch: Batch) -> Group:
    """By the challenger; where it fails, by the champion."""
    started = perf_counter()
    found = try_challenger(rollout, batch, _CHALLENGER)
    # raises where the request itself is to blame, which is nothing against the challenger
    group = found.group or group_of(model, alias_of(model), batch)
    rollout.observe(True, len(batch.places), perf_counter() - started, found.group is None, found.invalid)
    return group


def try_challenger(rollout: ActiveRollout, batch: Batch, alias: str) -> ChallengerResult:
    """What a challenger says; whatever a new version can make fail must not reach a caller."""
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
