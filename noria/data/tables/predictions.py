"""Batch predictions: one per entity of an interval, replaced whole with the interval."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import text

from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.use_case import UseCase
from noria.data.postgres.locks import lock_interval
from noria.data.postgres.warehouse import Table, Warehouse, append, quote
from noria.data.tables.features import LABEL_KNOWN_AT, arrived, label_table, require
from noria.data.tables.feedback import fill_labels, labels_from_feedback
from noria.data.tables.labels import label_selection, with_task_label

Scores = npt.NDArray[np.float64]
Decisions = npt.NDArray[np.bool_] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
_TABLE = Table("ops", "batch_predictions")


def replace_batch_predictions(  # noqa: PLR0917 - the parts of one result, which jobs has at hand
    warehouse: Warehouse,
    use_case: UseCase,
    interval: Interval,
    version: str,
    rows: pa.Table,
    scores: Scores,
    decisions: Decisions,
    classes: Sequence[str] = (),
) -> ScoreResult:
    """Replace the interval's batch predictions in one transaction.

    Args:
        warehouse: where they go.
        use_case: whose they are.
        interval: which rows are replaced.
        version: the model version that gave the scores.
        rows: has the entity and the event time, one row per score.
        scores: probability of the positive class, or the number predicted, of shape ``(rows,)``; or probabilities of the
            classes, of shape ``(rows, classes)``.
        decisions: yes or no, the index of a class, or a number; of shape ``(rows,)``.
        classes: names of the columns of two-dimensional scores; `label.classes` where none are given.

    Raises:
        ValueError: scores, decisions and classes do not fit each other.
    """
    names = _names(use_case, rows, scores, decisions, classes)
    predictions = pa.table(
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
    with warehouse.transaction() as connection:
        lock_interval(connection, use_case, interval, "predictions")
        connection.execute(
            text(f"delete from {_TABLE} where use_case = :use_case and event_time >= :start and event_time < :end"),
            {"use_case": use_case.name, "start": interval.start, "end": interval.end},
        )
        append(connection, _TABLE, predictions)
    return ScoreResult(version=version, rows=len(rows), digest=_digest(rows[use_case.entity], scores))


def read_batch_predictions(warehouse: Warehouse, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
    """Batch predictions of the interval, with the labels that had arrived by `as_of`.

    Columns: entity and event time under the use case's names, `version`, `score` (probability of the positive class or of
    the class decided on, or the number predicted), `decision` (text: ``true`` or ``false``, a class, or a number),
    `probabilities` (JSON object by class as text; null unless there are classes), and `label` as the task has it: the
    warehouse's, else what apps have said (`noria.data.tables.feedback`), else null. Ordered by event time and entity.

    Raises:
        TransformError: the labels were never built, or one is not what the task asks for.
    """
    labels = label_table(use_case)
    require(warehouse, labels, (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT))
    found = warehouse.read_arrow(
        f"select p.entity as {quote(use_case.entity)}, p.event_time as {quote(use_case.event_time)}, p.version, p.score, "
        f"p.decision, p.probabilities::text as probabilities, {label_selection(use_case)} from {_TABLE} as p "
        f"left join {labels} as l on l.{quote(use_case.entity)}::text = p.entity "
        f"and l.{quote(use_case.event_time)} = p.event_time and {arrived(use_case, 4)} "
        "where p.use_case = $1 and p.event_time >= $2 and p.event_time < $3 order by p.event_time, p.entity",
        (use_case.name, interval.start, interval.end, as_of, as_of - use_case.label.available_after),
    )
    feedback = labels_from_feedback(warehouse, use_case, interval, as_of)
    return fill_labels(use_case, with_task_label(use_case, found), feedback)


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


def _digest(entities: pa.ChunkedArray, scores: Scores) -> str:
    lines = (f"{entity}\t{score!r}\n" for entity, score in zip(entities.to_pylist(), scores.tolist(), strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
