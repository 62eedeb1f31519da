"""Explanations of predictions: over all rows, by segment, and of single rows in the words of the use case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.base.formatting import ascii_minus, number, plain_name
from noria.core.lifecycle.evaluation import Contribution, Example, ReasonCode
from noria.core.model.decision import Scores
from noria.core.use_case import Features
from noria.training.data.dataset import TrainingSet
from noria.training.data.sampling import even_positions
from noria.training.evaluation.input import ExplainableModel, ExportFacts
from noria.training.evaluation.scored_slice import Positions, ScoredSlice
from noria.training.evaluation.segments import large_segments

MOST_ROWS = 2_000
"""Most explained rows; a mean over them is exact to a few percent."""
FEWEST_EXPLAINED_ROWS = 60
BYTES_TIMES_ROWS = 800_000_000
"""Exact SHAP values of a row take about 10 nanoseconds per byte of the model's graph (more for deep trees). This limit keeps
the whole below some ten seconds. The size of the model decides, so that no clock does."""
FEWEST_ROWS = 30
"""Fewest explained rows of a segment whose mean is shown."""
MOST_OF_A_SEGMENT = 10
REASONS = 3


def explained_rows(rows: int, export: ExportFacts) -> Positions:
    """Positions of the rows that are explained: an even sample, smaller for larger models; shape ``(explained,)``.

    Args:
        rows: number of evaluated rows.
        export: size of the model.
    """
    size = export.graph_bytes or int(1e6 * (export.size_mb or 0.0))
    affordable = BYTES_TIMES_ROWS // size if size else MOST_ROWS
    return even_positions(rows, min(max(affordable, FEWEST_EXPLAINED_ROWS), MOST_ROWS))


def contributions(
    names: Sequence[str], segments: Sequence[str], rows: TrainingSet, model: ExplainableModel, explained: Positions
) -> tuple[Contribution, ...]:
    """Mean absolute SHAP value of every feature, then of the ten strongest in each large segment; strongest first.

    Args:
        names: the features, in the order of the model's contributions.
        segments: categorical features.
        rows: the evaluated rows.
        model: the evaluated model.
        explained: positions of the rows that are explained.
    """
    strengths = np.abs(model.contributions(rows.take(explained)))
    ranked = list(_ranked(names, strengths, ""))
    for segment, value, positions in large_segments(segments, rows):
        part = strengths[np.isin(explained, positions)]
        if len(part) >= FEWEST_ROWS:
            ranked.extend(_ranked(names, part, f"{segment}={value}")[:MOST_OF_A_SEGMENT])
    return tuple(ranked)


def examples(features: Features, rows: TrainingSet, outcome: ScoredSlice, model: ExplainableModel) -> tuple[Example, ...]:
    """A few notable rows, each with the three features that changed its score most.

    Args:
        features: names, descriptions and units.
        rows: the evaluated rows.
        outcome: their scores.
        model: the evaluated model.
    """
    picked: dict[int, str] = {}
    for why, position in _picks(outcome):
        picked.setdefault(position, why)
    positions = np.array(list(picked), dtype=np.intp)
    if not len(positions):
        return ()
    some, chosen = rows.take(positions), outcome.take(positions)
    shap = model.contributions(some)
    scores = chosen.policy.chosen_scores(chosen.scores, chosen.decisions)
    decided, happened = _words(chosen, chosen.decisions), _words(chosen, chosen.labels)
    return tuple(
        Example(
            why=why,
            score=float(scores[index]),
            decided=decided[index],
            happened=happened[index],
            reasons=tuple(_reasons(features, some.row(index), shap[index])),
        )
        for index, why in enumerate(picked.values())
    )


def in_words(features: Features, name: str, value: Any) -> str:
    """A feature and its value as the use case describes them, such as `Age of the plane: 24 years`."""
    numeric = features.numeric.get(name)
    described = numeric or features.categorical[name]
    title = described.description or plain_name(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return f"{title}: not known"
    unit = f" {numeric.unit}" if numeric is not None and numeric.unit else ""
    return f"{title}: {value if isinstance(value, str) else _number(float(value))}{unit}"


def _ranked(names: Sequence[str], strengths: Scores, segment: str) -> list[Contribution]:
    means = strengths.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    return [Contribution(feature=names[index], importance=float(means[index]), segment=segment) for index in order]


def _reasons(features: Features, row: dict[str, Any], shap: Scores) -> Iterator[ReasonCode]:
    names = features.names
    for index in np.argsort(-np.abs(shap), kind="stable")[:REASONS]:
        name = names[index]
        yield ReasonCode(feature=name, words=in_words(features, name, row[name]), contribution=float(shap[index]))


def _words(outcome: ScoredSlice, decisions: Any) -> list[str]:
    words = outcome.policy.words(decisions)
    if outcome.policy.task.is_binary:
        return ["yes" if word else "no" for word in words]
    return [word if isinstance(word, str) else _number(float(word)) for word in words]


def _picks(outcome: ScoredSlice) -> Iterator[tuple[str, int]]:
    """Why a row is shown, and its position; the first of equals, so that the same rows are shown every time."""
    if outcome.policy.task.is_binary:
        yield from _binary_picks(outcome)
    elif outcome.policy.task.is_multiclass:
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
    """A number with a hyphen for a minus: reasons are part of a bundle."""
    return ascii_minus(number(value))
