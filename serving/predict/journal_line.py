"""The journal line of an answered request: one line of JSON, which PostgreSQL unpacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from serving.contract.request_schema import Instance
from serving.predict.prediction import Group, RequestContext


class PredictionRecord(msgspec.Struct, kw_only=True, gc=False):
    """One prediction in the journal."""

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
    """One line of the journal: the predictions of one request."""

    use_case: str
    requested_at: datetime
    request_id: str
    caller: str
    latency_ms: float
    predictions: list[PredictionRecord]


def journal_line(
    groups: Sequence[Group], instances: Sequence[Instance], context: RequestContext, latency_ms: float
) -> bytes:
    """The journal line of a request, newline included."""
    records = [
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
        requested_at=context.now,
        request_id=context.request_id,
        caller=context.caller,
        latency_ms=latency_ms,
        predictions=records,
    )
    return msgspec.json.encode(line) + b"\n"
