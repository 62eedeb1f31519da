"""Response to a request for predictions: admitted, filled or refused, counted. Used by the fast path and by ASGI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from noria.core.base.api_key import Scope as AccessScope
from serving.contract.errors import MalformedBodyError
from serving.http.error_handlers import problem_of
from serving.http.request_head import RequestHead
from serving.models.served_model import ServedModel
from serving.observability.structured_log import RefusalLog
from serving.observability.tracing import AnsweredRequest
from serving.predict.prediction import AnsweredPrediction, PredictResult, RequestContext, alias_of

if TYPE_CHECKING:
    from serving.http.app_services import AppServices

_MOST_REASONS = 20
_START, _END = "/v1/", "/predict"
_JSON = (b"content-type", b"application/json")
_UNLOGGED = (b"x-noria-unlogged", b"true")
_encode = msgspec.json.Encoder().encode


class PredictResponse(msgspec.Struct, gc=False):
    """Content of a response with predictions."""

    use_case: str
    version: str
    predictions: list[AnsweredPrediction]


@dataclass(slots=True)
class PendingResponse:
    """A response in the making.

    Attributes:
        model: the champion of the use case; None if there is no such use case.
        rows: instances predicted.
    """

    model: ServedModel | None
    headers: list[tuple[bytes, bytes]]
    status: int = 200
    content: bytes = b""
    rows: int = 0


def use_case_of(path: str) -> str | None:
    """Use case whose predictions a path asks for; None for any other path."""
    if not path.startswith(_START) or not path.endswith(_END):
        return None
    name = path[len(_START) : -len(_END)]
    return None if "/" in name else name


class PredictResponder:
    """Steps between a request's head and its response, the same however the request came."""

    def __init__(self, services: AppServices) -> None:
        self._services = services
        self._refusals = RefusalLog()

    def admit(self, name: str, head: RequestHead, query: bytes, response: PendingResponse, now: datetime) -> RequestContext:
        """Authenticate the caller, and read the query.

        Raises:
            UnauthenticatedError, ForbiddenError, TooManyRequestsError: the request is refused.
            MalformedBodyError: the query asks for a wrong number of reasons.
        """
        admitted = self._services.authenticator.authenticate(head.authorization, name, AccessScope.PREDICT)
        response.headers += admitted.headers
        return RequestContext(head.request_id, admitted.caller, now, _reasons(query))

    @staticmethod
    def fill(response: PendingResponse, result: PredictResult) -> None:
        """Write predictions into the response."""
        model = response.model
        name, version = (model.name, model.version) if model else ("", "")
        response.content = _encode(PredictResponse(name, version, result.predictions))
        response.headers.append(_JSON)
        response.rows = len(result.predictions)
        if not result.logged:
            response.headers.append(_UNLOGGED)

    def refuse(self, response: PendingResponse, error: Exception, head: RequestHead) -> None:
        """Write a problem report into the response."""
        problem = problem_of(error, request_id=head.request_id)
        response.status, response.content = problem.status, problem.body
        response.headers += problem.headers
        fields = [found.where for found in getattr(error, "problems", ())]
        name = response.model.name if response.model else ""
        self._refusals.tell(problem.status, problem.slug, name, fields, head.request_id)

    def count(self, response: PendingResponse, head: RequestHead, seconds: float) -> None:
        """Count the response, and trace it if traces are collected."""
        model = response.model
        self._services.metrics.answered(model, response.status, seconds)
        if traces := self._services.tracing.traces:
            name, version, alias = (model.name, model.version, alias_of(model)) if model else ("", "", "")
            request = AnsweredRequest(name, version, alias, response.rows, head.request_id, response.status, seconds)
            traces.answered(head.traceparent, request)


def _reasons(query: bytes) -> int:
    """Number of reasons that a query asks for.

    Raises:
        MalformedBodyError: it is not a number from 0 to 20.
    """
    if not query:
        return 0
    asked = parse_qs(query.decode("latin-1")).get("reasons", ["0"])[-1]
    if not asked.isdecimal() or int(asked) > _MOST_REASONS:
        raise MalformedBodyError(f"reasons is {asked[:20]!r}, expected a number from 0 to {_MOST_REASONS}; send ?reasons=3")
    return int(asked)
