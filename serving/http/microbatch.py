"""Requests that have come at the same time, predicted in one batch.

One row costs a model nearly as much as ten: its trees have to come into the processor's cache, and a call is a call. Under
load the event loop finds many connections readable at once. So each request for a single prediction waits until all of them
have been read, which is microseconds; then they are one batch, with one line each in one write to the journal. A request
that is alone does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from serving.contract.request_schema import Instance
from serving.models.served_model import ServedModel
from serving.predict.prediction import PredictResult, RequestContext

if TYPE_CHECKING:
    from serving.predict.service import PredictionService

_MOST = 100
"""Requests of one batch."""


class PendingRequest(NamedTuple):
    """A request for one prediction.

    Attributes:
        instance: fits the version's request schema, and has no personal values.
        done: called with the prediction, or with the error.
    """

    model: ServedModel
    instance: Instance
    context: RequestContext
    done: Callable[[PredictResult | Exception], None]


class MicroBatcher:
    """Collects requests until the event loop has nothing more to read."""

    def __init__(self, predictions: PredictionService) -> None:
        self._predictions = predictions
        self._waiting: list[PendingRequest] = []

    def add(self, request: PendingRequest) -> None:
        """Predict it soon, with all others that came by then; called in the event loop."""
        self._waiting.append(request)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self.flush)
        elif len(self._waiting) >= _MOST:
            self.flush()

    def flush(self) -> None:
        """Predict all of them now."""
        waiting, self._waiting = self._waiting, []
        by_model: dict[int, list[PendingRequest]] = {}
        for request in waiting:
            by_model.setdefault(id(request.model), []).append(request)
        for requests in by_model.values():
            for request, outcome in zip(requests, self._outcomes(requests), strict=True):
                request.done(outcome)

    def _outcomes(self, requests: list[PendingRequest]) -> Sequence[PredictResult | Exception]:
        if len(requests) > 1:
            try:
                return self._predictions.answer_batch(
                    requests[0].model, [one.instance for one in requests], [one.context for one in requests]
                )
            except Exception:  # one of them is at fault, or the journal: each is answered for itself
                return [self._alone(request) for request in requests]
        return [self._alone(request) for request in requests]

    def _alone(self, request: PendingRequest) -> PredictResult | Exception:
        try:
            return self._predictions.answer_protected(request.model, [request.instance], request.context)
        except Exception as error:
            return error
