"""The fast path: `POST /v1/{use_case}/predict`, answered without ASGI as soon as the last byte has come.

A prediction takes less time than FastAPI needs to route a request. So `serving.http.fast_protocol` calls `answer_now`, which
reads headers once, decodes the body straight into the version's own types, and gives the response as bytes. A request that
has to wait for a database or a thread goes through ASGI (`serving.http.predict_middleware`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING

from serving.http.microbatch import MicroBatcher, PendingRequest
from serving.http.predict_response import PendingResponse, PredictResponder
from serving.http.request_head import head_of
from serving.predict.instances import read_body
from serving.predict.prediction import PredictResult

if TYPE_CHECKING:
    from serving.http.app_services import AppServices


class FastPath:
    """Answers requests for predictions that need no waiting."""

    def __init__(self, services: AppServices, responder: PredictResponder) -> None:
        self._services = services
        self._responder = responder
        self._batcher = MicroBatcher(services.predictions)

    def answer_now(
        self,
        name: str,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        done: Callable[[PendingResponse], None],
    ) -> bool:
        """Answer a POST whose body is complete; False, with nothing done, if the answer has to be waited for.

        Args:
            name: of the use case, as in the path.
            query: the part of the URL behind the question mark.
            headers: names in lower case.
            body: at most `serving.http.request_head.MAX_BYTES`.
            done: called with the response, before this returns or a moment later.
        """
        started = perf_counter()
        services, responder = self._services, self._responder
        model, now = services.models.find(name), services.clock.now()
        head = head_of(headers, now)
        wanted = None if model is None or head.packed else model.request_schema.read(body)
        quick = model is None or wanted is None or services.predictions.is_quick(model, wanted, query)
        if head.packed or not quick:
            return False
        response = PendingResponse(model, [(b"x-request-id", head.request_id.encode())])

        def finish(outcome: PredictResult | Exception) -> None:
            if isinstance(outcome, Exception):
                responder.refuse(response, outcome, head)
            else:
                responder.fill(response, outcome)
            responder.count(response, head, perf_counter() - started)
            done(response)

        try:
            context = responder.admit(name, head, query, response, now)
            model = response.model = model or services.models.get(name)
            if wanted is None:
                wanted = read_body(body, model)  # names what is wrong, or finds that nothing is
                if not services.predictions.is_quick(model, wanted, query):
                    return False
            instances = model.protected(wanted.instances)
            if services.predictions.may_join_batch(model, context, len(instances)):
                self._batcher.add(PendingRequest(model, instances[0], context, finish))
                return True
            outcome: PredictResult | Exception = services.predictions.answer_protected(model, instances, context)
        except Exception as error:
            outcome = error
        finish(outcome)
        return True

    def flush(self) -> None:
        """Answer all requests that wait for others, now."""
        self._batcher.flush()
