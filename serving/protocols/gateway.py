"""The door for requests in other protocols: the same rights, limits, checks and journal as `POST /v1/{use_case}/predict`."""

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
"""And the class: the column of its probability, as in `noria.registry.pyfunc_flavour`."""
_UNLOGGED = "x-noria-unlogged"


class GatewayRequest(NamedTuple):
    """A request that was let in.

    Attributes:
        model: the champion of the use case that it asks.
        headers: what to tell the caller beside the answer, whichever it will be.
    """

    services: AppServices
    model: ServedModel
    asked: RequestContext
    body: bytes
    headers: dict[str, str]


async def authenticated_request(request: Request, use_case: str) -> GatewayRequest:
    """Let a request in, and read it.

    Raises:
        UnauthenticatedError, ForbiddenError, TooManyRequestsError: it may not.
        UnknownUseCaseError: nobody declared that use case.
        MalformedBodyError, BodyTooLargeError, SlowBodyError: the body cannot be read.
    """
    services = services_of(request)
    head = head_of(request.scope["headers"], services.clock.now())
    told = request.state.told = {"x-request-id": head.request_id}
    if known := services.models.find(use_case):
        answered_by(request.scope, known)
    admitted = services.authenticator.authenticate(head.authorization, use_case, Scope.PREDICT)
    told.update((name.decode("latin-1"), value.decode("latin-1")) for name, value in admitted.headers)
    asked = RequestContext(head.request_id, admitted.caller, services.clock.now())
    model = services.models.get(use_case)
    _check_packing(request)
    return GatewayRequest(services, model, asked, await body_of(request.receive, head), told)


def _check_packing(request: Request) -> None:
    packing = request.headers.get("content-encoding", "identity")
    if packing.lower() not in ("gzip", "identity"):
        raise MalformedBodyError(f"Content-Encoding is {packing[:40]!r}, expected gzip; or send the body as it is")


async def predict(visit: GatewayRequest, rows: Sequence[Mapping[str, Any]]) -> list[AnsweredPrediction]:
    """Predict rows; each prediction is in the journal before anybody hears of it.

    Args:
        visit: who asks whom.
        rows: features by name, and the entity; None is a missing value.

    Raises:
        BodyTooLargeError: more rows than the use case allows in one request.
        InstanceError, UnscorableError: rows that do not fit the version.
        JournalError: the predictions cannot be kept.
        TooSlowError: it took longer than the use case allows.
    """
    most = visit.model.use_case.serving.max_batch
    if len(rows) > most:
        raise BodyTooLargeError(f"{len(rows):,} rows in one request, at most {most:,} are answered; send several")
    predicted = await visit.services.predictions.predict_rows(visit.model, rows, visit.asked)
    if not predicted.logged:
        visit.headers[_UNLOGGED] = "true"
    return predicted.predictions
