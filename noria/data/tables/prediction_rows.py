"""Rows of batch predictions, as every store keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from noria.core.base.results import ScoreResult
from noria.core.model.decision import Decisions, Scores
from noria.core.use_case import UseCase


def prediction_rows(  # noqa: PLR0917 - the parts of one result
    use_case: UseCase, version: str, rows: pa.Table, scores: Scores, decisions: Decisions, classes: Sequence[str] = ()
) -> pa.Table:
    """Columns `use_case`, `entity`, `event_time`, `version`, `score`, `decision` and `probabilities`, row by row.

    Raises:
        ValueError: scores, decisions and classes do not fit each other.
    """
    names = _names(use_case, rows, scores, decisions, classes)
    return pa.table(
        {
            "use_case": pa.repeat(use_case.name, len(rows)),
            "entity": rows[use_case.entity],
            "event_time": rows[use_case.event_time],
            "version": pa.repeat(version, len(rows)),
            "score": pa.array(_one_score(scores, decisions), pa.float64()),
            "decision": pa.array(_in_words(decisions, names), pa.string()),
            "probabilities": pa.array(_probabilities(scores, names), pa.string()),
        }
    )


def score_result(version: str, entities: pa.ChunkedArray, scores: Scores) -> ScoreResult:
    """Summary of what was scored, with a digest of entities and scores."""
    lines = (f"{entity}\t{score!r}\n" for entity, score in zip(entities.to_pylist(), scores.tolist(), strict=True))
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return ScoreResult(version=version, rows=len(entities), digest=digest)


def _names(
    use_case: UseCase, rows: pa.Table, scores: Scores, decisions: Decisions, classes: Sequence[str]
) -> tuple[str, ...]:
    """Names of the classes that scores have a column for; none where there is one score per row."""
    names = tuple(classes or use_case.label.classes) if scores.ndim == 2 else ()
    expected = (len(rows), len(names)) if scores.ndim == 2 else (len(rows),)
    if scores.shape != expected or decisions.shape != expected[:1]:
        raise ValueError(
            f"{use_case.name}: scores of shape {scores.shape} and decisions of shape {decisions.shape} do not fit "
            f"{len(rows)} rows" + (f" and classes {', '.join(names)}" if names else "")
        )
    return names


def _one_score(scores: Scores, decisions: Decisions) -> Scores:
    """The score itself, or the probability of the class decided on."""
    return scores if scores.ndim == 1 else scores[np.arange(len(scores)), decisions.astype(np.intp)]


def _in_words(decisions: Decisions, names: Sequence[str]) -> list[str]:
    """The column takes the decisions of every task: ``true`` or ``false``, a class, or the shortest text of a number."""
    if names:
        return [names[index] for index in decisions.astype(np.intp).tolist()]
    return [str(decision).lower() if isinstance(decision, bool) else repr(decision) for decision in decisions.tolist()]


def _probabilities(scores: Scores, names: Sequence[str]) -> list[str | None]:
    if not names:
        return [None] * len(scores)
    return [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in scores.tolist()]
