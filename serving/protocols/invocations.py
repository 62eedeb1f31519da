"""MLflow's scoring protocol, for a deployment of one use case: `/invocations`, `/ping`, `/version`.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/#local-inference-server. Requests to `mlflow models serve`
work here unchanged: the answers have the columns of `noria.registry.pyfunc_flavour`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from serving.contract.errors import NotServedError
from serving.http.app_services import AppServices, services_of
from serving.http.routes import readyz
from serving.models.served_model import ServedModel
from serving.predict.prediction import AnsweredPrediction
from serving.protocols.error_translation import route_class
from serving.protocols.gateway import PROBABILITY, authenticated_request, predict
from serving.protocols.invocations_rows import read_rows

_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's error codes by HTTP status; all others are a BAD_REQUEST."""
WithServices = Annotated[AppServices, Depends(services_of)]


def router_for(only: str) -> APIRouter:
    """The routes of a deployment.

    Args:
        only: the use case that answers; empty if there is only one.
    """
    router = APIRouter(route_class=route_class(_error), include_in_schema=False)

    @router.post("/invocations")
    async def invocations(request: Request) -> Response:
        # without Depends: FastAPI would run it in a thread, which takes as long as the prediction
        accepted = await authenticated_request(request, _chosen(services_of(request), only).name)
        rows = read_rows(accepted.body, request.headers.get("content-type", ""), accepted.model)
        predictions = await predict(accepted, rows)
        content = msgspec.json.encode({"predictions": [_row(prediction) for prediction in predictions]})
        return Response(content, headers=accepted.headers, media_type="application/json")

    @router.get("/ping")
    @router.get("/health")
    def ping(services: WithServices) -> Response:
        response = Response("\n", media_type="application/json")
        readyz(services, response)
        return response

    @router.get("/version")
    async def version(request: Request, services: WithServices) -> Response:
        model = _chosen(services, only)
        return Response(f"noria/{request.app.version} {model.name}/{model.version}", media_type="text/plain")

    return router


def _error(message: str, status: int) -> dict[str, str]:
    return {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}


def _chosen(services: AppServices, only: str) -> ServedModel:
    """The one use case.

    Raises:
        UnknownUseCaseError: the setting names one that does not exist.
        NotServedError: there are several, or none.
    """
    if only:
        return services.models.get(only)
    models = list(services.models)
    if len(models) != 1:
        names = ", ".join(model.name for model in models) or "none"
        raise NotServedError(
            f"/invocations answers for one use case, here are: {names}; set NORIA_SERVING_ONLY to one of them, or ask "
            "/v1/<use case>/predict"
        )
    return models[0]


def _row(prediction: AnsweredPrediction) -> Mapping[str, Any]:
    row: dict[str, Any] = {"score": prediction.score, "decision": prediction.decision}
    if isinstance(prediction.probabilities, dict):
        row |= {f"{PROBABILITY}{name}": value for name, value in prediction.probabilities.items()}
    return row
