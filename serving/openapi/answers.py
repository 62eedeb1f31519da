"""JSON Schema of the answers of one use case: one type per task."""

from __future__ import annotations

from typing import Any

from noria.core.use_case import Label, Task
from serving.http.schemas import ClassPrediction, NumberPrediction, YesNoPrediction
from serving.models.served_model import ServedModel
from serving.openapi.task_words import how_it_decides, meaning

_JSON = dict[str, Any]
_SHAPES: dict[Task, type[YesNoPrediction | ClassPrediction | NumberPrediction]] = {
    Task.BINARY_CLASSIFICATION: YesNoPrediction,
    Task.MULTICLASS: ClassPrediction,
    Task.REGRESSION: NumberPrediction,
}


def prediction_schema(model: ServedModel) -> _JSON:
    """The answer for one instance, with the classes or the unit of the use case."""
    schema = _SHAPES[model.use_case.task].model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # the document has them once
    properties: _JSON = schema["properties"]
    properties["decision"] |= {"description": f"{meaning(model)} {how_it_decides(model)}"}
    if model.use_case.task.is_multiclass:
        _name_classes(properties, model.use_case.label.classes)
    if model.use_case.task.is_regression:
        _name_number(properties, model.use_case.label)
    return {**schema, "title": f"Prediction of {model.name}", "additionalProperties": False}


def predictions_schema(model: ServedModel, prediction: str) -> _JSON:
    """All answers of a request.

    Args:
        model: the version that answers.
        prediction: name of the schema of one prediction.
    """
    return {
        "type": "object",
        "title": f"Predictions of {model.name}",
        "description": "All answers of a request.",
        "required": ["use_case", "version", "predictions"],
        "additionalProperties": False,
        "properties": {
            "use_case": {"type": "string", "const": model.name, "description": "Which use case."},
            "version": {"type": "string", "description": 'The champion; "0" is the baseline.'},
            "predictions": {
                "type": "array",
                "description": "One per instance, in the order they were sent.",
                "minItems": 1,
                "maxItems": model.use_case.serving.max_batch,
                "items": {"$ref": f"#/components/schemas/{prediction}"},
            },
        },
    }


def _name_classes(properties: _JSON, classes: tuple[str, ...]) -> None:
    properties["decision"]["enum"] = list(classes)
    properties["probabilities"] |= {
        "properties": {name: {"type": "number", "minimum": 0, "maximum": 1} for name in classes},
        "required": list(classes),
        "additionalProperties": False,
    }


def _name_number(properties: _JSON, label: Label) -> None:
    unit = label.unit or "the unit of that column"
    properties["score"]["description"] = f"The {label.column} predicted, in {unit}."
    for name in ("score", "decision"):
        properties[name] |= {"x-label": label.column} | ({"x-unit": label.unit} if label.unit else {})
