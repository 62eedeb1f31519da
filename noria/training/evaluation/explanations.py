"""What moves predictions: for all rows, for each segment, and for a handful of single rows in the use case's own words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import Contribution, Example, ReasonCode
from noria.core.model.decision import Scores
from noria.core.use_case import Task, UseCase
from noria.training.data.dataset import TrainingSet
from noria.training.evaluation.input import EvaluationInput, ExplainableModel
from noria.training.evaluation.scored_slice import Positions, ScoredSlice, evenly
from noria.training.evaluation.segments import segment_values

MOST_ROWS = 2_000
"""Rows that are explained; a mean over them is sure to a few percent."""
FEWEST_EXPLAINED_ROWS = 60
BYTES_TIMES_ROWS = 800_000_000
"""Exact SHAP values of a row take time in proportion to the model's size, about 10 nanoseconds per byte of its graph (more
where trees are deep). Rows are cut so that this stays below some ten seconds; size decides, so that no clock does."""
FEWEST_ROWS = 30
"""Fewest explained rows of a segment to speak of its mean."""
MOST_OF_A_SEGMENT = 10
REASONS = 3


def explained_rows(judged: EvaluationInput) -> Positions:
    """Positions of the judged rows that are explained: an even sample, the smaller the larger the model is."""
    size = judged.graph_bytes or int(1e6 * (judged.size_mb or 0.0))
    affordable = BYTES_TIMES_ROWS // size if size else MOST_ROWS
    return evenly(len(judged.fold.validation), min(max(affordable, FEWEST_EXPLAINED_ROWS), MOST_ROWS))


def contributions(
    use_case: UseCase, rows: TrainingSet, model: ExplainableModel, chosen: Positions
) -> tuple[Contribution, ...]:
    """Mean absolute SHAP value of every feature, then of the ten strongest in each judged segment; strongest first.

    Args:
        use_case: names features and segments.
        rows: the judged rows.
        model: the judged model.
        chosen: positions of the rows that are explained.
    """
    moved = np.abs(model.contributions(rows.take(chosen)))
    found = list(_ranked(use_case, moved, ""))
    for segment, value, positions in segment_values(use_case, rows):
        part = moved[np.isin(chosen, positions)]
        if len(part) >= FEWEST_ROWS:
            found.extend(_ranked(use_case, part, f"{segment}={value}")[:MOST_OF_A_SEGMENT])
    return tuple(found)


def examples(use_case: UseCase, rows: TrainingSet, outcome: ScoredSlice, model: ExplainableModel) -> tuple[Example, ...]:
    """A handful of rows worth a look, each with the three features that moved its score most."""
    picked: dict[int, str] = {}
    for why, position in _picks(outcome):
        picked.setdefault(position, why)
    positions = np.array(list(picked), dtype=np.intp)
    if not len(positions):
        return ()
    some, moved = rows.take(positions), model.contributions(rows.take(positions))
    chosen = outcome.take(positions)
    scores = chosen.policy.chosen_scores(chosen.scores, chosen.decisions)
    decided, happened = _words(chosen, chosen.decisions), _words(chosen, chosen.labels)
    return tuple(
        Example(
            why=why,
            score=float(scores[index]),
            decided=decided[index],
            happened=happened[index],
            reasons=tuple(_reasons(use_case, some.row(index), moved[index])),
        )
        for index, why in enumerate(picked.values())
    )


def in_words(use_case: UseCase, feature: str, value: Any) -> str:
    """A feature and its value as the use case describes them, such as `Age of the plane: 24 years`."""
    numeric = use_case.features.numeric.get(feature)
    described = numeric or use_case.features.categorical[feature]
    name = described.description or feature.replace("_", " ")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return f"{name}: not known"
    unit = f" {numeric.unit}" if numeric is not None and numeric.unit else ""
    return f"{name}: {value if isinstance(value, str) else _number(float(value))}{unit}"


def _ranked(use_case: UseCase, moved: Scores, segment: str) -> list[Contribution]:
    means = moved.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    names = use_case.features.names
    return [Contribution(feature=names[index], importance=float(means[index]), segment=segment) for index in order]


def _reasons(use_case: UseCase, row: dict[str, Any], moved: Scores) -> Iterator[ReasonCode]:
    names = use_case.features.names
    for index in np.argsort(-np.abs(moved), kind="stable")[:REASONS]:
        feature = names[index]
        yield ReasonCode(feature=feature, words=in_words(use_case, feature, row[feature]), contribution=float(moved[index]))


def _words(outcome: ScoredSlice, decisions: Any) -> list[str]:
    told = outcome.policy.words(decisions)
    if outcome.policy.task is Task.BINARY_CLASSIFICATION:
        return ["yes" if word else "no" for word in told]
    return [word if isinstance(word, str) else _number(float(word)) for word in told]


def _picks(outcome: ScoredSlice) -> Iterator[tuple[str, int]]:
    """Why a row is shown, and its position; the first of equals, so that the same rows are shown every time."""
    if outcome.policy.task is Task.BINARY_CLASSIFICATION:
        yield from _binary_picks(outcome)
    elif outcome.policy.task is Task.MULTICLASS:
        yield from _multiclass_picks(outcome)
    else:
        yield from _regression_picks(outcome)


def _binary_picks(outcome: ScoredSlice) -> Iterator[tuple[str, int]]:
    labels, yes, scores = outcome.labels.astype(bool), outcome.decisions, outcome.scores
    yield from _first("surest yes that was right", yes & labels, -scores)
    yield from _first("surest yes that was wrong", yes & ~labels, -scores)
    yield from _first("surest no that was right", ~yes & ~labels, scores)
    yield from _first("surest no that was wrong", ~yes & labels, scores)
    yield from _first("closest to the threshold", np.ones_like(yes), np.abs(scores - outcome.policy.threshold))


def _multiclass_picks(outcome: ScoredSlice) -> Iterator[tuple[str, int]]:
    sure = outcome.policy.chosen_scores(outcome.scores, outcome.decisions)
    right = outcome.labels == outcome.decisions
    two = np.sort(outcome.scores, axis=1)[:, -2:]
    for index, name in enumerate(outcome.policy.classes):
        yield from _first(f"surest {name} that was right", right & (outcome.decisions == index), -sure)
    yield from _first("surest decision that was wrong", ~right, -sure)
    yield from _first("most undecided between two classes", np.ones_like(right), two[:, 1] - two[:, 0])


def _regression_picks(outcome: ScoredSlice) -> Iterator[tuple[str, int]]:
    errors, every = outcome.scores - outcome.labels, np.ones(len(outcome), dtype=np.bool_)
    yield from _first("highest number", every, -outcome.scores)
    yield from _first("lowest number", every, outcome.scores)
    yield from _first("most too high", errors > 0, -errors)
    yield from _first("most too low", errors < 0, errors)
    yield from _first("closest to the middle of all numbers", every, np.abs(outcome.scores - np.median(outcome.scores)))


def _first(why: str, among: npt.NDArray[np.bool_], rank: Scores) -> Iterator[tuple[str, int]]:
    if among.any():
        yield why, int(np.argmin(np.where(among, rank, math.inf)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
