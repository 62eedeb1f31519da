"""The routes of the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST

from serving.body import read_body
from serving.error_handlers import PREDICT_RESPONSES, UNREADY
from serving.instances import MAX_BYTES
from serving.observation import answered_by
from serving.prediction import answer
from serving.schemas import LogReport, Predictions, Readiness, RegistryState, UseCaseList, UseCaseReport, report
from serving.state import Parts, parts_of

router = APIRouter()
WithParts = Annotated[Parts, Depends(parts_of)]
_INLINE_BYTES = 32 * 1024
"""About a hundred rows: more would hold up the event loop, fewer are done before a thread has woken."""


@router.post("/v1/{use_case}/predict", response_model=Predictions, responses=PREDICT_RESPONSES)
async def predict(use_case: str, request: Request) -> Response:
    """Predict 1 to 1,000 instances."""
    # Parts by hand and the answer as bytes: what FastAPI would do around them costs as much as the prediction.
    parts = parts_of(request)
    model = parts.models.get(use_case)
    answered_by(request.scope, model)
    body = await read_body(request, MAX_BYTES)
    if len(body) <= _INLINE_BYTES:
        reply = answer(body, model, parts.log.append, parts.clock)
    else:
        reply = await run_in_threadpool(answer, body, model, parts.log.append, parts.clock)
    parts.metrics.predicted(model, reply.answers)
    return Response(reply.body, media_type="application/json")


@router.get("/v1/{use_case}")
async def about(use_case: str, parts: WithParts) -> UseCaseReport:
    """What the use case is, what it expects, and what serves now."""
    return report(parts.models.get(use_case))


@router.get("/v1", tags=["all use cases"])
async def list_use_cases(parts: WithParts) -> UseCaseList:
    """All use cases, with what each expects and what serves now."""
    return UseCaseList(use_cases=tuple(report(model) for model in parts.models))


@router.get("/healthz", tags=["operation"])
async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "alive"}


@router.get(
    "/readyz", tags=["operation"], responses={UNREADY: {"model": Readiness, "description": "Send requests elsewhere"}}
)
def readyz(parts: WithParts, response: Response) -> Readiness:
    """Whether predictions are answered, and how the registry and the log behind them are doing."""
    readiness = _readiness(parts)
    if not readiness.ready:
        response.status_code = UNREADY
    return readiness


@router.get("/metrics", tags=["operation"], response_class=Response)
def metrics(parts: WithParts) -> Response:
    """Everything that Prometheus may ask."""
    return Response(parts.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _readiness(parts: Parts) -> Readiness:
    log, source = parts.log.state, parts.source
    versions = {model.name: model.version for model in parts.models}
    reason = log.journal_trouble or ("" if versions else "there is no use case; add a folder with a use_case.yaml")
    return Readiness(
        ready=not reason,
        reason=reason,
        versions=versions,
        refused=dict(source.refusals),
        registry=RegistryState(answers=not source.trouble, trouble=source.trouble),
        predictions=LogReport(
            database_answers=not log.trouble,
            trouble=log.trouble,
            journal_segments=log.backlog.segments,
            journal_bytes=log.backlog.bytes,
        ),
    )
