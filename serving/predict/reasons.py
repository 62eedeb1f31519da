"""Reasons of a prediction: the fields with the largest contributions, in the use case's own words.

Contributions are exact SHAP values (`noria.core.model.explainer`), summed by field. For a probability they are log odds
before calibration, which keeps their direction; for a class, relative to the mean of all classes; for a number, in its unit.
The baseline has no contributions: its reasons are the comparisons in its expression.
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
from serving.predict.rule_reasons import fields_read, part_of

QUICK_STEPS = 400_000
"""About two milliseconds, at five nanoseconds a step; more should not block an event loop."""
MOST_STEPS = 200_000_000
"""Limit of one request: about a second."""
Row = Mapping[str, Any]


class FieldReason(msgspec.Struct, gc=False):
    """One field's part in a prediction.

    Attributes:
        field: name.
        value: as it was read; None if it is missing.
        contribution: log odds, or the label's unit; None for a baseline.
        text: the same in words.
    """

    field: str
    value: float | str | None
    contribution: float | None
    text: str


def explain(
    model: ServedModel, rows: Sequence[Row], count: int, decisions: Sequence[object] = ()
) -> list[list[FieldReason]]:
    """Reasons of each prediction, the largest contribution first; fewer than `count` if fewer fields contributed.

    Args:
        model: the version that predicts.
        rows: features by name, as the version reads them.
        count: largest number of reasons for each prediction.
        decisions: multiclass: the class decided on for each row; if empty, the version scores the rows again.

    Raises:
        NoReasonsError: the version has no explainer, or one that cannot be read.
        BodyTooLargeError: the rows would take too long to explain; says how many would not.
    """
    if model.predictor.manifest.rule is not None:
        return [_of_rule(model, model.predictor.manifest.rule, row, count) for row in rows]
    explainer = _explainer(model)
    if len(rows) > (most := max(1, MOST_STEPS // max(1, explainer.steps))):
        raise BodyTooLargeError(
            f"reasons for {len(rows):,} instances in one request, at most {most:,} are explained by version {model.version} "
            f"of {model.name}; send several requests, or none of ?reasons"
        )
    contributions = explainer.contributions(rows)
    classes = _classes(model, rows, decisions)
    places = [model.policy.classes.index(decided) if decided else 0 for decided in classes]
    return [
        _strongest(model, explainer, row, by_class[place], decided, count)
        for row, by_class, place, decided in zip(rows, contributions, places, classes, strict=True)
    ]


def is_quick(model: ServedModel, rows: int) -> bool:
    """Whether rows can be explained in an event loop without blocking it; else they belong in a thread.

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
    """The class that each row is explained for; empty texts unless the task is multiclass."""
    if not model.predictor.manifest.task.is_multiclass:
        return [""] * len(rows)
    if decisions:
        return [str(decided) for decided in decisions]
    with np.errstate(over="ignore", invalid="ignore"):
        scores = model.predictor.score_rows(rows)
    return [str(decided) for decided in model.policy.words(model.policy.decide(scores))]


def _strongest(  # noqa: PLR0917 - the parts of one sentence
    model: ServedModel, explainer: FieldExplainer, row: Row, contributions: Any, decided: str, count: int
) -> list[FieldReason]:
    order = np.argsort(-np.abs(contributions), kind="stable")[: max(count, 0)].tolist()
    return [
        _reason(model, explainer, explainer.fields[place], row, float(contributions[place]), decided)
        for place in order
        if contributions[place]
    ]


def _reason(  # noqa: PLR0917 - the parts of one sentence
    model: ServedModel, explainer: FieldExplainer, name: str, row: Row, contribution: float, decided: str
) -> FieldReason:
    value = row.get(name)
    known = not isinstance(value, str) or explainer.knows(name, value)
    text = f"{finding(model.fields[name], value, known=known)}: {direction(model.use_case, contribution, decided)}"
    return FieldReason(name, value, contribution, text)


def _of_rule(model: ServedModel, rule: str, row: Row, count: int) -> list[FieldReason]:
    return [
        FieldReason(name, row.get(name), None, f"{finding(model.fields[name], row.get(name))}: {part_of(rule, name, row)}")
        for name in fields_read(rule)[: max(count, 0)]
    ]
