"""Requests in other protocols: the same rights, limits, checks and journal as `POST /v1/{use_case}/predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request

from noria.core.base.api_key import Scope
from serving.contract.errors import BodyTooLargeError, MalformedBodyError
from serving.http.app_services import AppServices, services_of
from serving.http.request_head import body_of, head_of
from serving.models.served_model import ServedModel
from serving.observability.observation import answered_by
from serving.predict.prediction import AnsweredPrediction, RequestContext

PROBABILITY = "probability_"
"""Prefix of the column of a class's probability, as in `noria.registry.pyfunc_flavour`."""
_UNLOGGED = "x-noria-unlogged"


class GatewayRequest(NamedTuple):
    """An authenticated request.

    Attributes:
        model: the champion of its use case.
        headers: of the response, also of an error.
    """

    services: AppServices
    model: ServedModel
    context: RequestContext
    body: bytes
    headers: dict[str, str]


async def authenticated_request(request: Request, use_case: str) -> GatewayRequest:
    """Authenticate a request, and read its body.

    Raises:
        UnauthenticatedError, ForbiddenError, TooManyRequestsError: the request is refused.
        UnknownUseCaseError: no use case has that name.
        MalformedBodyError, BodyTooLargeError, SlowBodyError: the body cannot be read.
    """
    services = services_of(request)
    head = head_of(request.scope["headers"], services.clock.now())
    headers = request.state.response_headers = {"x-request-id": head.request_id}
    if known := services.models.find(use_case):
        answered_by(request.scope, known)
    caller = services.authenticator.authenticate(head.authorization, use_case, Scope.PREDICT)
    headers.update((name.decode("latin-1"), value.decode("latin-1")) for name, value in caller.headers)
    context = RequestContext(head.request_id, caller.caller, services.clock.now())
    model = services.models.get(use_case)
    _check_packing(request)
    return GatewayRequest(services, model, context, await body_of(request.receive, head), headers)


def _check_packing(request: Request) -> None:
    packing = request.headers.get("content-encoding", "identity")
    if packing.lower() not in ("gzip", "identity"):
        raise MalformedBodyError(f"Content-Encoding is {packing[:40]!r}, expected gzip; or send the body as it is")


async def predict(request: GatewayRequest, rows: Sequence[Mapping[str, Any]]) -> list[AnsweredPrediction]:
    """Predict rows; each prediction is in the journal before the response is sent.

    Args:
        request: an authenticated one.
        rows: features by name, and the entity; None is a missing value.

    Raises:
        BodyTooLargeError: more rows than the use case allows in one request.
        InstanceError, UnscorableError: rows that do not fit the version.
        JournalError: the predictions cannot be recorded.
        TooSlowError: it took longer than the use case allows.
    """
    most = request.model.use_case.serving.max_batch
    if len(rows) > most:
        raise BodyTooLargeError(f"{len(rows):,} rows in one request, at most {most:,} are answered; send several")
    result = await request.services.predictions.predict_rows(request.model, rows, request.context)
    if not result.logged:
        request.headers[_UNLOGGED] = "true"
    return result.predictions
