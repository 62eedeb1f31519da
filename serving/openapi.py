"""The OpenAPI document: one documented route per use case, typed by the version that answers."""

from __future__ import annotations

from typing import Any

from noria.core.signature import Field, Kind
from serving.example import example_request
from serving.instances import MAX_INSTANCES
from serving.openapi_answers import prediction_schema, predictions_schema
from serving.schemas import ProblemReport
from serving.served_model import ServedModel, ServedModels
from serving.task_words import how_it_decides, meaning, what_is_at_stake

_GENERIC = ("/v1/{use_case}/predict", "/v1/{use_case}")
_UNUSED = (
    *("HTTPValidationError", "ValidationError"),
    *("Predictions", "YesNoPrediction", "ClassPrediction", "NumberPrediction"),  # each use case has its own
)
_SHOWN_CATEGORIES = 50
_JSON = dict[str, Any]


def describe(base: _JSON, models: ServedModels) -> _JSON:
    """The document of all routes.

    Args:
        base: what FastAPI knows; its routes with a use case in the path are replaced by one route per use case.
        models: whose signatures are described.
    """
    paths = dict(base["paths"])
    predict, about = (paths.pop(path) for path in _GENERIC)
    schemas = {name: schema for name, schema in base["components"]["schemas"].items() if name not in _UNUSED}
    schemas |= _problem_schemas()
    for model in models:
        name = _type_name(model.name)
        schemas[f"{name}Instance"] = _instance(model)
        schemas[f"{name}Request"] = _request(model, f"{name}Instance")
        schemas[f"{name}Prediction"] = prediction_schema(model)
        schemas[f"{name}Predictions"] = predictions_schema(model, f"{name}Prediction")
        paths[f"/v1/{model.name}"] = {"get": _about_route(model, about["get"])}
        paths[f"/v1/{model.name}/predict"] = {"post": _predict_route(model, predict["post"], name)}
    tags = [{"name": model.name, "description": model.use_case.title} for model in models]
    return {**base, "paths": paths, "tags": tags, "components": {**base["components"], "schemas": schemas}}


def _problem_schemas() -> _JSON:
    """FastAPI does not know them: error handlers answer, not routes."""
    schema = ProblemReport.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "ProblemReport": schema}


def _about_route(model: ServedModel, generic: _JSON) -> _JSON:
    return {**_without_path(generic), "tags": [model.name], "operationId": f"about_{model.name}"}


def _predict_route(model: ServedModel, generic: _JSON, name: str) -> _JSON:
    example = example_request(model)
    route = _without_path(generic)
    answered = {
        "description": "One prediction per instance",
        "content": {"application/json": {"schema": _ref(f"{name}Predictions")}},
    }
    return {
        **route,
        "responses": {**route["responses"], "200": answered},
        "tags": [model.name],
        "operationId": f"predict_{model.name}",
        "summary": model.use_case.title,
        "description": (
            f"Version {model.version} answers. {meaning(model)} {how_it_decides(model)} {what_is_at_stake(model)} "
            f"Owner: {model.use_case.owner}."
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _ref(f"{name}Request"),
                    "examples": {"one": {"summary": "Works when pasted", "value": example}},
                }
            },
        },
    }


def _ref(schema: str) -> _JSON:
    return {"$ref": f"#/components/schemas/{schema}"}


def _without_path(generic: _JSON) -> _JSON:
    """The route without its path parameter, and without FastAPI's error for a wrong one."""
    responses = {
        status: response for status, response in generic["responses"].items() if "HTTPValidationError" not in str(response)
    }
    return {**{key: value for key, value in generic.items() if key != "parameters"}, "responses": responses}


def _request(model: ServedModel, instance: str) -> _JSON:
    return {
        "type": "object",
        "title": f"Request for {model.name}",
        "required": ["instances"],
        "additionalProperties": False,
        "properties": {
            "instances": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_INSTANCES,
                "items": _ref(instance),
            }
        },
        "examples": [example_request(model)],
    }


def _instance(model: ServedModel) -> _JSON:
    entity = {
        "type": ["string", "integer", "null"],
        "description": "Your name for what is predicted; logged with the prediction, not read by the model.",
    }
    fields = {field.name: _field(field) for field in model.fields.values()}
    document: _JSON = {
        "type": "object",
        "title": f"Instance of {model.name}",
        "description": f"What version {model.version} reads. A field left out, or null, is a missing value.",
        "additionalProperties": False,
        "properties": {model.use_case.entity: entity, **fields},
    }
    if required := [field.name for field in model.fields.values() if field.required]:
        document["required"] = required
    return document


def _field(field: Field) -> _JSON:
    kind = "number" if field.kind is Kind.NUMERIC else "string"
    document: _JSON = {"type": kind if field.required else [kind, "null"]}
    if text := ". ".join(part.rstrip(".") for part in _sentences(field)):
        document["description"] = f"{text}."
    # Values beyond what training saw are answered, so they are told, not enforced.
    if field.minimum is not None or field.maximum is not None:
        document["x-seen-range"] = [field.minimum, field.maximum]
    if field.categories:
        document["x-seen-categories"] = list(field.categories)
    if field.unit:
        document["x-unit"] = field.unit
    example = field.example if field.example is not None else next(iter(field.categories), None)
    if example is not None:
        document["examples"] = [example]
    return document


def _sentences(field: Field) -> list[str]:
    parts = [field.description] if field.description else []
    if field.unit:
        parts.append(f"In {field.unit}")
    if field.minimum is not None and field.maximum is not None:
        parts.append(f"Usually {field.minimum:g} to {field.maximum:g}")
    if field.categories:
        more = len(field.categories) - _SHOWN_CATEGORIES
        shown = ", ".join(field.categories[:_SHOWN_CATEGORIES])
        parts.append(f"Known: {shown}" + (f" and {more} more" if more > 0 else "") + "; others are answered as unseen")
    return parts


def _type_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
