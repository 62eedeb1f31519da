"""The Open Inference Protocol, version 2, for its clients: a use case is a model, its version a version.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, with the extension for
binary tensors. `serving.protocols.open_inference_columns` defines the tensors.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from noria.core.model.bundle import BASELINE_VERSION
from serving.contract.errors import NotServedError
from serving.http.app_services import AppServices, services_of
from serving.http.routes import readyz
from serving.models.served_model import ServedModel
from serving.predict.prediction import AnsweredPrediction
from serving.protocols.error_translation import route_class
from serving.protocols.gateway import authenticated_request, predict
from serving.protocols.open_inference_columns import Column, check_wanted, columns_in, columns_out, rows_of, tensors_of
from serving.protocols.open_inference_tensors import HEADER_LENGTH, Inference, read_inference, write_outputs

_BINARY = "application/octet-stream"
_RULE, _ONNX = "noria_rule", "onnx_onnxv1"
WithServices = Annotated[AppServices, Depends(services_of)]


def _error(message: str, _status: int) -> dict[str, str]:
    return {"error": message}


# The protocol has its own published document; ours is about /v1.
router = APIRouter(prefix="/v2", route_class=route_class(_error), include_in_schema=False)


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Whether the process is alive."""
    return {"live": True}


@router.get("/health/ready")
def ready(services: WithServices, response: Response) -> dict[str, bool]:
    """Whether predictions are answered."""
    return {"ready": readyz(services, response).ready}


@router.get("")
async def server(request: Request) -> dict[str, Any]:
    """Name and version of this server."""
    return {"name": "noria", "version": request.app.version, "extensions": ["binary_tensor_data"]}


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{version}")
async def metadata(name: str, services: WithServices, version: str = "") -> dict[str, Any]:
    """Inputs and outputs of a use case."""
    model = _serving(services, name, version)
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": _RULE if model.version == BASELINE_VERSION else _ONNX,
        "inputs": [_described(column) for column in columns_in(model)],
        "outputs": [_described(column) for column in columns_out(model)],
    }


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{version}/ready")
async def model_ready(name: str, services: WithServices, version: str = "") -> dict[str, Any]:
    """Whether a use case is answered, by that version if one is named."""
    return {"name": _serving(services, name, version).name, "ready": True}


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{version}/infer")
async def infer(name: str, request: Request, version: str = "") -> Response:
    """Predict; one row of each tensor is one instance."""
    accepted = await authenticated_request(request, name)
    model = _serving(accepted.services, name, version)
    context = accepted.context._replace(alone=bool(version))  # no challenger answers for a version that is named
    inference = read_inference(accepted.body, request.headers.get(HEADER_LENGTH))
    check_wanted(inference.outputs, model)
    predictions = await predict(accepted._replace(context=context), rows_of(inference, model))
    return _answer(inference, model, predictions, accepted.headers)


@router.api_route("/{path:path}", methods=["GET", "POST"])
async def not_offered(path: str) -> Response:
    """Optional parts of the protocol that are not offered, such as loading a model, which the registry decides."""
    raise NotServedError(f"/v2/{path[:100]} is not offered; metadata, readiness and infer of /v2/models/<use case> are")


def _serving(services: AppServices, name: str, version: str) -> ServedModel:
    """The version that answers.

    Raises:
        UnknownUseCaseError: no use case has that name.
        NotServedError: another version is asked for; names the one that answers.
    """
    model = services.models.get(name)
    if version not in ("", model.version):
        raise NotServedError(f"version {version[:40]!r} of {name} does not serve; version {model.version} does")
    return model


def _described(column: Column) -> dict[str, Any]:
    return {"name": column.name, "datatype": column.datatype, "shape": list(column.shape)}


def _answer(
    inference: Inference, model: ServedModel, predictions: list[AnsweredPrediction], headers: dict[str, str]
) -> Response:
    versions = {prediction.version for prediction in predictions}
    about = {"model_name": model.name, "model_version": versions.pop() if len(versions) == 1 else model.version}
    if inference.id:
        about["id"] = inference.id
    tensors = tensors_of(predictions, model, inference.outputs)
    wanted = {item.name: item.binary for item in inference.outputs}
    binary = [inference.binary if wanted.get(tensor.name) is None else bool(wanted[tensor.name]) for tensor in tensors]
    body, length = write_outputs(about, tensors, binary)
    if length is None:
        return Response(body, headers=headers, media_type="application/json")
    return Response(body, headers={**headers, HEADER_LENGTH: str(length)}, media_type=_BINARY)
