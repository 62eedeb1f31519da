"""Scores instances, decides, and writes the prediction down before anybody is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from noria.core.clock import Clock
from serving.answers import Answers, answers_of
from serving.instances import Instance, read_instances
from serving.prediction_id import uuid7
from serving.scoring import score_instances
from serving.served_model import ServedModel

_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # json.dumps would build one for every call


@dataclass(frozen=True)
class Reply:
    """An acknowledged request.

    Attributes:
        body: JSON, as sent to the caller.
        answers: what it says.
    """

    body: bytes
    answers: Answers


def answer(body: bytes, model: ServedModel, record: Callable[[bytes], None], clock: Clock) -> Reply:
    """Predict every instance of a request.

    Args:
        body: the request, JSON.
        model: the version that answers, the same for the whole request.
        record: keeps one journal line for good; the answer exists only after it has returned.
        clock: gives the time of the request.

    Raises:
        MalformedBodyError, BodyTooLargeError, InstanceError, UnscorableError: the request is wrong.
        JournalError: the prediction cannot be recorded.
    """
    started, now = perf_counter(), clock.now()
    instances = read_instances(body, model)
    answers = answers_of(model.policy, score_instances(model, instances))
    predictions = _predictions(model, answers, now)
    line = {
        "use_case": model.name,
        "version": model.version,
        "requested_at": now.isoformat(),
        "threshold": answers.threshold,
        "latency_ms": round((perf_counter() - started) * 1000, 3),
        "predictions": [_record(*pair) for pair in zip(predictions, instances, strict=True)],
    }
    record(_to_json(line).encode() + b"\n")
    reply = {"use_case": model.name, "version": model.version, "predictions": predictions}
    return Reply(_to_json(reply).encode(), answers)


def _predictions(model: ServedModel, answers: Answers, now: datetime) -> list[dict[str, Any]]:
    """The answers as they are sent; `serving.schemas` says what the fields mean."""
    rows = zip(answers.scores, answers.decisions, _details(answers), strict=True)
    return [
        {"id": uuid7(now), "score": score, "decision": decision, **details, "version": model.version}
        for score, decision, details in rows
    ]


def _details(answers: Answers) -> list[dict[str, Any]]:
    """What an answer of this task says beside score and decision."""
    if answers.probabilities:
        return [{"probabilities": probabilities} for probabilities in answers.probabilities]
    return [{} if answers.threshold is None else {"threshold": answers.threshold}] * len(answers.scores)


def _record(prediction: dict[str, Any], instance: Instance) -> list[Any]:
    """What the journal keeps of one prediction: id, entity, features, score, decision; and probabilities of classes."""
    kept = [prediction["id"], instance.entity, instance.features, prediction["score"], prediction["decision"]]
    return [*kept, prediction["probabilities"]] if "probabilities" in prediction else kept
