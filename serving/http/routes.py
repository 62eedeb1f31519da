"""Routes of the API except predictions, which `serving.http.fast_path` answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from noria.core.base.api_key import Scope
from serving.http.app_services import AppServices, services_of
from serving.http.error_handlers import ADMIN_RESPONSES, UNREADY
from serving.http.request_head import body_of, head_of
from serving.http.schemas import UseCaseList, UseCaseReport, report
from serving.observability.readiness import Readiness

router = APIRouter()
WithServices = Annotated[AppServices, Depends(services_of)]


@router.get("/v1/{use_case}")
async def about(use_case: str, services: WithServices) -> UseCaseReport:
    """Description of the use case: what it is, what it expects, and what serves now."""
    return report(services.models.get(use_case))


@router.get("/v1", tags=["all use cases"])
async def list_use_cases(services: WithServices) -> UseCaseList:
    """All use cases, with what each expects and what serves now."""
    return UseCaseList(use_cases=tuple(report(model) for model in services.models))


@router.get("/healthz", tags=["operation"])
async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "alive"}


@router.post("/v1/{use_case}/feedback", status_code=202, response_class=Response)
async def feedback(use_case: str, request: Request, services: WithServices) -> Response:
    """Say what really happened, by the id of a prediction or by entity; late, repeated and corrected feedback is kept."""
    head = head_of(request.scope["headers"], services.clock.now())
    caller = services.authenticator.authenticate(head.authorization, use_case, Scope.FEEDBACK)
    model = services.models.get(use_case)
    body = await body_of(request.receive, head)
    receipt = services.feedback.take(body, model, caller.caller, head.request_id)
    headers = {name.decode(): value.decode() for name, value in caller.headers}
    return Response(receipt, 202, {"x-request-id": head.request_id, **headers}, "application/json")


@router.post("/v1/{use_case}/refresh", status_code=202, tags=["operation"], responses=ADMIN_RESPONSES)
async def refresh(use_case: str, request: Request, services: WithServices) -> dict[str, str]:
    """Ask the model registry now whether another version is to serve, instead of in a few seconds; needs scope admin."""
    head = head_of(request.scope["headers"], services.clock.now())
    services.authenticator.authenticate(head.authorization, use_case, Scope.ADMIN, action=f"POST /v1/{use_case}/refresh")
    services.models.get(use_case)
    services.source.wake()
    return {"status": "asked"}


@router.get(
    "/readyz", tags=["operation"], responses={UNREADY: {"model": Readiness, "description": "Send requests elsewhere"}}
)
def readyz(services: WithServices, response: Response) -> Readiness:
    """Whether predictions are answered, and the state of registry and logs."""
    readiness = services.readiness
    if not readiness.ready:
        response.status_code = UNREADY
    return readiness


@router.get("/metrics", tags=["operation"], response_class=Response)
def metrics(services: WithServices) -> Response:
    """Metrics for Prometheus."""
    return Response(services.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
