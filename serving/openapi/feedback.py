"""OpenAPI of feedback: one route per use case, its labels typed by the task."""

from __future__ import annotations

from typing import Any

from serving.feedback.request import MAX_ITEMS
from serving.http.error_handlers import PREDICT_RESPONSES
from serving.models.served_model import ServedModel

_JSON = dict[str, Any]
_EXAMPLE_ID = "01900000-0000-7000-8000-000000000000"
_LONGEST_ENTITY = 1000
_REFUSED = ("400", "401", "403", "408", "413", "422", "429", "503")
_RECEIPT: _JSON = {
    "type": "object",
    "required": ["use_case", "feedback"],
    "properties": {
        "use_case": {"type": "string"},
        "feedback": {
            "type": "array",
            "description": "In the order they were sent.",
            "items": {
                "type": "object",
                "required": ["id", "status"],
                "properties": {
                    "id": {"type": "string", "format": "uuid", "description": "Of this feedback."},
                    "status": {"type": "string", "const": "accepted"},
                },
            },
        },
    },
}


def feedback_route(model: ServedModel) -> _JSON:
    """The documented operation."""
    label = _label(model)
    example = {"feedback": [{"id": _EXAMPLE_ID, "label": label["examples"][0]}]}
    return {
        "tags": [model.name],
        "operationId": f"feedback_{model.name}",
        "summary": "Say what really happened",
        "description": (
            f"By the id of a prediction, or by {model.use_case.entity}. Late, repeated and corrected feedback is kept; "
            "the latest counts."
        ),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _request(label), "example": example}},
        },
        "responses": {
            "202": {"description": "Kept", "content": {"application/json": {"schema": _RECEIPT}}},
            **{status: response for status, response in PREDICT_RESPONSES.items() if status in _REFUSED},
        },
    }


def _request(label: _JSON) -> _JSON:
    """Schema of the body that `serving.feedback.request` reads."""
    instant = {"type": ["string", "null"], "format": "date-time"}
    common = {"label": label, "at": {**instant, "description": "When it was known; now, where it is left out."}}
    by_id = {"id": {"type": "string", "format": "uuid", "description": "Id of the prediction."}, **common}
    by_entity = {
        "entity": {
            "type": ["string", "integer"],
            "minLength": 1,
            "maxLength": _LONGEST_ENTITY,
            "description": "Your name for what was predicted.",
        },
        "event_time": {**instant, "description": "Which of its events, if it has several."},
        **common,
    }
    items = [
        {"type": "object", "properties": fields, "required": [target, "label"], "additionalProperties": False}
        for target, fields in (("id", by_id), ("entity", by_entity))
    ]
    feedback = {"type": "array", "items": {"anyOf": items}, "minItems": 1, "maxItems": MAX_ITEMS}
    return {"type": "object", "properties": {"feedback": feedback}, "required": ["feedback"], "additionalProperties": False}


def _label(model: ServedModel) -> _JSON:
    label, task = model.use_case.label, model.use_case.task
    description = f"What came true: {label.column}."
    if task.is_binary:
        return {"type": "boolean", "description": description, "examples": [True]}
    if task.is_multiclass:
        return {"type": "string", "enum": list(label.classes), "description": description, "examples": [label.classes[0]]}
    return {"type": "number", "description": f"{description[:-1]}, in {label.unit or 'its unit'}.", "examples": [12.5]}
