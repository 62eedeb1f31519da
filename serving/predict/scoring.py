"""Scores of instances, or the reason why an instance has none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np

from noria.core.model.decision import Scores
from noria.core.use_case import Task
from noria.core.use_case.rule import Rule
from noria.inference.predictor import OnnxPredictor
from serving.contract.errors import FieldProblem, UnscorableError
from serving.contract.request_schema import Instance
from serving.contract.scores import valid_rows
from serving.models.served_model import ServedModel

_NO_SCORE = {
    Task.BINARY_CLASSIFICATION: "no probability",
    Task.MULTICLASS: "no probability of each class",
    Task.REGRESSION: "no number",
}


def score_instances(model: ServedModel, instances: Sequence[Instance]) -> Scores:
    """Scores of instances that fit the signature; shape ``(rows,)``, or ``(rows, classes)`` for multiclass.

    Raises:
        UnscorableError: an instance has no score, since its numbers are too large, or values are missing that the baseline
            needs; lists all of them.
    """
    rows = [instance.features for instance in instances]
    try:
        scores = raw_scores(model, rows)
    except (ArithmeticError, TypeError, ValueError) as error:
        if model.predictor.manifest.rule is None:
            raise
        raise UnscorableError(list(_breaking(model, rows))) from error
    valid = valid_rows(model.predictor.manifest, scores)
    if not valid.all():
        raise UnscorableError([_problem(model, int(index), rows[index]) for index in np.flatnonzero(~valid)])
    return scores


def score_one(model: ServedModel, instance: Instance) -> float | None:
    """Score of one instance that fits the signature, without arrays; None if `score_instances` must decide.

    Most requests have one instance, and arrays of one row would cost more than the model.
    """
    predictor = model.predictor
    if not isinstance(predictor, OnnxPredictor) or predictor.manifest.task.is_multiclass:
        return None
    score = predictor.score_row(instance.features)
    in_range = predictor.manifest.task.is_regression or 0.0 <= score <= 1.0
    return score if in_range and isfinite(score) else None


def raw_scores(model: ServedModel, rows: Sequence[dict[str, Any]]) -> Scores:
    """Scores of a version, valid or not; shape ``(rows,)``, or ``(rows, classes)`` for multiclass."""
    with np.errstate(over="ignore", invalid="ignore"):  # extremes are checked afterwards
        return model.predictor.score_rows(rows)


def _problem(model: ServedModel, index: int, row: dict[str, Any]) -> FieldProblem:
    rule = model.predictor.manifest.rule
    found = _NO_SCORE[model.predictor.manifest.task]
    if rule is None:
        return FieldProblem(f"instances[{index}]", found, "numbers that the model can compute with", "check their units")
    missing = sorted(name for name in Rule(rule).names if row.get(name) is None)
    suggestion = f"send {', '.join(missing)}" if missing else "check the units of its numbers"
    return FieldProblem(f"instances[{index}]", found, f"values that the baseline needs: {rule}", suggestion)


def _breaking(model: ServedModel, rows: Sequence[dict[str, Any]]) -> Iterator[FieldProblem]:
    """The instances that the baseline cannot be computed for, each with its values and the error."""
    rule = Rule(model.predictor.manifest.rule or "")
    for index, row in enumerate(rows):
        try:
            raw_scores(model, [row])
        except (ArithmeticError, TypeError, ValueError) as error:
            values = json.dumps({name: row.get(name) for name in sorted(rule.names)})
            found = values if len(values) <= 200 else f"{values[:197]}..."
            expected = f"values that the baseline can be computed from: {rule.expression} ({error})"
            yield FieldProblem(f"instances[{index}]", found, expected, f"tell {model.use_case.owner}")
