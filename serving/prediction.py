"""Scores instances, decides, and writes the prediction down before anybody is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from noria.core.clock import Clock
from serving.errors import UnscorableError
from serving.instances import Instance, read_instances
from serving.prediction_id import uuid7
from serving.served_model import ServedModel

_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # json.dumps would build one for every call


@dataclass(frozen=True)
class Answer:
    """An acknowledged request.

    Attributes:
        body: JSON, as sent to the caller.
        decisions: how many instances were decided yes and no.
    """

    body: bytes
    decisions: tuple[int, int]


def answer(body: bytes, model: ServedModel, record: Callable[[bytes], None], clock: Clock) -> Answer:
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
    scores = _score(model, instances)
    predictions = [
        {
            "id": uuid7(now),
            "score": score,
            "decision": score >= model.threshold,
            "threshold": model.threshold,
            "version": model.version,
        }
        for score in scores
    ]
    line = {
        "use_case": model.name,
        "version": model.version,
        "requested_at": now.isoformat(),
        "threshold": model.threshold,
        "latency_ms": round((perf_counter() - started) * 1000, 3),
        "predictions": [_record(*pair) for pair in zip(predictions, instances, strict=True)],
    }
    record(_to_json(line).encode() + b"\n")
    reply = {"use_case": model.name, "version": model.version, "predictions": predictions}
    yes = sum(score >= model.threshold for score in scores)
    return Answer(_to_json(reply).encode(), (yes, len(scores) - yes))


def _score(model: ServedModel, instances: list[Instance]) -> list[float]:
    with np.errstate(over="ignore", invalid="ignore"):  # extremes are looked at below, not warned about
        scores: list[float] = model.predictor.score_rows([instance.features for instance in instances]).tolist()
    for index, score in enumerate(scores):
        if not 0.0 <= score <= 1.0:
            raise UnscorableError(f"instances[{index}] gives no probability: its numbers are too large; check their units")
    return scores


def _record(prediction: dict[str, Any], instance: Instance) -> list[Any]:
    """What the journal keeps of one prediction: id, entity, features, score, decision."""
    return [prediction["id"], instance.entity, instance.features, prediction["score"], prediction["decision"]]
