"""The OpenAPI document: one documented route per use case, typed by the version that answers."""

from __future__ import annotations

from typing import Any

from noria.core.model.encoder_columns import LARGEST
from noria.core.model.signature import Field, Kind
from noria.core.use_case import InputPolicy
from serving.http.error_handlers import PREDICT_RESPONSES
from serving.http.schemas import ProblemReport, ReasonReport, WarningReport
from serving.models.example import example_request
from serving.models.served_model import ServedModel, ServedModels
from serving.openapi.answers import prediction_schema, predictions_schema
from serving.openapi.feedback import feedback_route
from serving.openapi.task_words import how_it_decides, meaning, policies, what_is_at_stake

_ABOUT, _FEEDBACK, _REFRESH = "/v1/{use_case}", "/v1/{use_case}/feedback", "/v1/{use_case}/refresh"
_UNUSED = ("HTTPValidationError", "ValidationError")
_SHOWN_CATEGORIES = 50
_JSON = dict[str, Any]
_KEY: list[_JSON] = [{}, {"bearer": []}, {"header": []}]
"""No key where serving is open; else either of the two ways to send one."""
_SCHEMES: _JSON = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `noria keys create`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_REF = "#/components/schemas/{model}"
_REASONS: _JSON = {
    "name": "reasons",
    "in": "query",
    "description": "How many reasons to give for each prediction, the weightiest first.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
}


def describe(base: _JSON, models: ServedModels) -> _JSON:
    """The document of all routes.

    Args:
        base: FastAPI's document; its routes of a use case are replaced by one per use case. It has no predictions, see
            `serving.http.fast_path`.
        models: versions that answer, with their signatures.
    """
    paths = dict(base["paths"])
    about, refresh = paths.pop(_ABOUT), paths.pop(_REFRESH)
    del paths[_FEEDBACK]
    schemas = {name: schema for name, schema in base["components"]["schemas"].items() if name not in _UNUSED}
    schemas |= _shared_schemas()
    for model in models:
        name = _type_name(model.name)
        schemas[f"{name}Instance"] = _instance(model)
        schemas[f"{name}Request"] = _request(model, f"{name}Instance")
        schemas[f"{name}Prediction"] = prediction_schema(model)
        schemas[f"{name}Predictions"] = predictions_schema(model, f"{name}Prediction")
        paths[f"/v1/{model.name}"] = {"get": _about_route(model, about["get"])}
        paths[f"/v1/{model.name}/predict"] = {"post": {**_predict_route(model, name), "security": _KEY}}
        paths[f"/v1/{model.name}/refresh"] = {"post": _refresh_route(model, refresh["post"])}
        paths[f"/v1/{model.name}/feedback"] = {"post": {**feedback_route(model), "security": _KEY}}
    tags = [{"name": model.name, "description": model.use_case.title} for model in models]
    components = {**base["components"], "schemas": schemas, "securitySchemes": _SCHEMES}
    return {**base, "paths": paths, "tags": tags, "components": components}


def _shared_schemas() -> _JSON:
    """Schemas that FastAPI's document lacks, since none of its routes answers with them."""
    schemas: _JSON = {}
    for kind in (ProblemReport, WarningReport, ReasonReport):
        schema = kind.model_json_schema(ref_template=_REF)
        schemas |= {**schema.pop("$defs", {}), kind.__name__: schema}
    return schemas


def _about_route(model: ServedModel, generic: _JSON) -> _JSON:
    return {**_without_path(generic), "tags": [model.name], "operationId": f"about_{model.name}"}


def _refresh_route(model: ServedModel, generic: _JSON) -> _JSON:
    route = _without_path(generic)
    return {**route, "tags": [model.name], "operationId": f"refresh_{model.name}", "security": _KEY}


def _predict_route(model: ServedModel, name: str) -> _JSON:
    answered = {
        "description": "One prediction per instance",
        "content": {"application/json": {"schema": _ref(f"{name}Predictions")}},
    }
    examples = {
        "one": {"summary": "Works when pasted", "value": example_request(model)},
        "by entity": {
            "summary": f"By {model.use_case.entity}: its features are looked up",
            "value": {"entities": ["example-1"]},
        },
    }
    return {
        "responses": {"200": answered, **PREDICT_RESPONSES},
        "tags": [model.name],
        "operationId": f"predict_{model.name}",
        "summary": model.use_case.title,
        "description": (
            f"Version {model.version} answers. {meaning(model)} {how_it_decides(model)} {what_is_at_stake(model)} "
            f"Owner: {model.use_case.owner}."
        ),
        "parameters": [_REASONS],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(f"{name}Request"), "examples": examples}},
        },
    }


def _ref(schema: str) -> _JSON:
    return {"$ref": _REF.format(model=schema)}


def _without_path(generic: _JSON) -> _JSON:
    """The route without its path parameter, and without FastAPI's error for a wrong one."""
    responses = {
        status: response for status, response in generic["responses"].items() if "HTTPValidationError" not in str(response)
    }
    return {**{key: value for key, value in generic.items() if key != "parameters"}, "responses": responses}


def _request(model: ServedModel, instance: str) -> _JSON:
    size = {"type": "array", "minItems": 1, "maxItems": model.use_case.serving.max_batch}
    entity = {"type": ["string", "integer"], "description": f"A {model.use_case.entity}, whose features are looked up."}
    return {
        "title": f"Request for {model.name}",
        "oneOf": [
            {
                "type": "object",
                "title": "Instances",
                "required": ["instances"],
                "additionalProperties": False,
                "properties": {"instances": {**size, "items": _ref(instance)}},
            },
            {
                "type": "object",
                "title": "Entities",
                "required": ["entities"],
                "additionalProperties": False,
                "properties": {"entities": {**size, "items": entity}},
            },
        ],
        "examples": [example_request(model)],
    }


def _instance(model: ServedModel) -> _JSON:
    entity = {
        "type": ["string", "integer", "null"],
        "description": "Your name for what is predicted; logged with the prediction, not read by the model.",
    }
    fields = {field.name: _field(field, model) for field in model.fields.values()}
    document: _JSON = {
        "type": "object",
        "title": f"Instance of {model.name}",
        "description": (
            f"What version {model.version} reads. A field left out, or null, is a missing value. {policies(model)}"
        ),
        "additionalProperties": False,
        "properties": {model.use_case.entity: entity, **fields},
    }
    if required := [field.name for field in model.fields.values() if field.required]:
        document["required"] = required
    return document


def _field(field: Field, model: ServedModel) -> _JSON:
    kind = "number" if field.kind is Kind.NUMERIC else "string"
    document: _JSON = {"type": kind if field.required else [kind, "null"]}
    if field.kind is Kind.NUMERIC:
        document |= {"minimum": -LARGEST, "maximum": LARGEST}
    if text := ". ".join(part.rstrip(".") for part in _sentences(field)):
        document["description"] = f"{text}."
    # Ranges seen in training are documented, and enforced only if the use case refuses other values.
    if field.minimum is not None or field.maximum is not None:
        document["x-seen-range"] = [field.minimum, field.maximum]
    if model.use_case.serving.out_of_range is InputPolicy.REFUSE:
        document |= {"minimum": field.minimum} if field.minimum is not None else {}
        document |= {"maximum": field.maximum} if field.maximum is not None else {}
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
