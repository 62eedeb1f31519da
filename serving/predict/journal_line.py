"""What the journal keeps of a request that was answered: one line of JSON, which PostgreSQL unpacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from serving.contract.request_schema import Instance
from serving.predict.prediction import Group, RequestContext


class PredictionRecord(msgspec.Struct, kw_only=True, gc=False):
    """What the journal keeps of one prediction."""

    id: str
    entity: str | None
    features: dict[str, Any]
    score: float
    decision: bool | str | float
    threshold: float | msgspec.UnsetType
    probabilities: dict[str, float] | msgspec.UnsetType
    version: str
    alias: str
    digest: str


class PredictionLine(msgspec.Struct, kw_only=True, gc=False):
    """One line of the journal: what one request was answered."""

    use_case: str
    requested_at: datetime
    request_id: str
    caller: str
    latency_ms: float
    predictions: list[PredictionRecord]


def journal_line(groups: Sequence[Group], instances: Sequence[Instance], asked: RequestContext, latency_ms: float) -> bytes:
    """What the journal keeps of a request, newline included."""
    logged = [
        PredictionRecord(
            id=one.id,
            entity=instances[place].entity,
            features=instances[place].features,
            score=one.score,
            decision=one.decision,
            threshold=one.threshold,
            probabilities=one.probabilities,
            version=one.version,
            alias=group.alias,
            digest=group.model.digest,
        )
        for group in groups
        for place, one in zip(group.places, group.predictions, strict=True)
    ]
    line = PredictionLine(
        use_case=groups[0].model.name,
        requested_at=asked.now,
        request_id=asked.request_id,
        caller=asked.caller,
        latency_ms=latency_ms,
        predictions=logged,
    )
    return msgspec.json.encode(line) + b"\n"
