"""Why: the fields that moved a prediction most, in their own words.

A model's contributions are exact SHAP values (`noria.core.model.explainer`), added up by field. Those of a probability are
log odds before calibration, which keeps their direction; those of a class are held against the mean of all classes; those of
a number are in its unit. The rule has no contributions: its reasons are the comparisons it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from noria.core.base.errors import BundleError
from noria.inference.explanation import FieldExplainer
from noria.inference.predictor import OnnxPredictor
from serving.contract.errors import BodyTooLargeError, NoReasonsError
from serving.models.served_model import ServedModel
from serving.predict.reason_words import direction, finding
from serving.predict.rule_reasons import fields_read, what_came_of

QUICK_STEPS = 400_000
"""Explaining this much takes about two milliseconds, five nanoseconds a step; more should not hold up an event loop."""
MOST_STEPS = 200_000_000
"""What one request may cost: about a second."""
Row = Mapping[str, Any]


class FieldReason(msgspec.Struct, gc=False):
    """One field's part in a prediction.

    Attributes:
        field: its name.
        value: as it was read; None where it is missing.
        contribution: how far it moved the prediction: log odds, or the label's unit; None for a rule.
        text: the same for people.
    """

    field: str
    value: float | str | None
    contribution: float | None
    text: str


def explain(
    model: ServedModel, rows: Sequence[Row], count: int, decisions: Sequence[object] = ()
) -> list[list[FieldReason]]:
    """The fields that moved each prediction most, the strongest first; fewer than `count` where fewer moved it.

    Args:
        model: the version that predicts.
        rows: what it predicts of, as it reads them.
        count: how many reasons each prediction gets at most.
        decisions: multiclass: the class decided on for each row; where they are not given, the version is asked again.

    Raises:
        NoReasonsError: the version carries nothing to explain it with, or something that cannot be read.
        BodyTooLargeError: explaining all of these rows would take too long; says how many would not.
    """
    if model.predictor.manifest.rule is not None:
        return [_of_rule(model, model.predictor.manifest.rule, row, count) for row in rows]
    explainer = _explainer(model)
    if len(rows) > (most := max(1, MOST_STEPS // max(1, explainer.steps))):
        raise BodyTooLargeError(
            f"reasons for {len(rows):,} instances in one request, at most {most:,} are explained by version {model.version} "
            f"of {model.name}; send several requests, or none of ?reasons"
        )
    moved = explainer.contributions(rows)
    classes = _classes(model, rows, decisions)
    places = [model.policy.classes.index(decided) if decided else 0 for decided in classes]
    return [
        _strongest(model, explainer, row, found[place], decided, count)
        for row, found, place, decided in zip(rows, moved, places, classes, strict=True)
    ]


def is_quick(model: ServedModel, rows: int) -> bool:
    """Whether so many rows can be explained in an event loop without anybody noticing; else it belongs in a thread.

    The first explanation of a version reads its explainer from disk, which is never quick.
    """
    predictor = model.predictor
    if not isinstance(predictor, OnnxPredictor):
        return True
    if not predictor.explains_at_once:
        return False
    return predictor.explainer is None or rows * predictor.explainer.steps <= QUICK_STEPS


def _explainer(model: ServedModel) -> FieldExplainer:
    try:
        explainer = model.predictor.explainer if isinstance(model.predictor, OnnxPredictor) else None
    except BundleError as error:
        raise NoReasonsError(f"version {model.version} of {model.name} cannot explain itself: {error}") from error
    if explainer is None:
        raise NoReasonsError(
            f"version {model.version} of {model.name} was made before versions could explain themselves; train a new one, "
            "or ask without ?reasons"
        )
    return explainer


def _classes(model: ServedModel, rows: Sequence[Row], decisions: Sequence[object]) -> list[str]:
    """The class that each row is explained for; empty where there are no classes."""
    if not model.predictor.manifest.task.is_multiclass:
        return [""] * len(rows)
    if decisions:
        return [str(decided) for decided in decisions]
    with np.errstate(over="ignore", invalid="ignore"):
        scores = model.predictor.score_rows(rows)
    return [str(decided) for decided in model.policy.words(model.policy.decide(scores))]


def _strongest(  # noqa: PLR0917 - the parts of one sentence
    model: ServedModel, explainer: FieldExplainer, row: Row, moved: Any, decided: str, count: int
) -> list[FieldReason]:
    order = np.argsort(-np.abs(moved), kind="stable")[: max(count, 0)].tolist()
    return [
        _reason(model, explainer, explainer.fields[place], row, float(moved[place]), decided)
        for place in order
        if moved[place]
    ]


def _reason(  # noqa: PLR0917 - the parts of one sentence
    model: ServedModel, explainer: FieldExplainer, name: str, row: Row, contribution: float, decided: str
) -> FieldReason:
    value = row.get(name)
    known = not isinstance(value, str) or explainer.knows(name, value)
    told = finding(model.fields[name], value, known=known)
    return FieldReason(name, value, contribution, f"{told}: {direction(model.use_case, contribution, decided)}")


def _of_rule(model: ServedModel, rule: str, row: Row, count: int) -> list[FieldReason]:
    return [
        FieldReason(
            name, row.get(name), None, f"{finding(model.fields[name], row.get(name))}: {what_came_of(rule, name, row)}"
        )
        for name in fields_read(rule)[: max(count, 0)]
    ]
