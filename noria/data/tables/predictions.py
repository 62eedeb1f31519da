"""Batch predictions: one per entity of an interval, replaced whole with the interval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
from sqlalchemy import text

from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.model.decision import Decisions, Scores
from noria.core.use_case import UseCase
from noria.data.postgres.locks import lock_interval
from noria.data.postgres.warehouse import Table, Warehouse, append, quote
from noria.data.tables.features import LABEL_KNOWN_AT, arrived, label_table, require
from noria.data.tables.feedback import fill_labels, labels_from_feedback
from noria.data.tables.labels import label_selection, with_task_label
from noria.data.tables.prediction_rows import prediction_rows, score_result

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
    predictions = prediction_rows(use_case, version, rows, scores, decisions, classes)
    with warehouse.transaction() as connection:
        lock_interval(connection, use_case, interval, "predictions")
        connection.execute(
            text(f"delete from {_TABLE} where use_case = :use_case and event_time >= :start and event_time < :end"),
            {"use_case": use_case.name, "start": interval.start, "end": interval.end},
        )
        append(connection, _TABLE, predictions)
    return score_result(version, rows[use_case.entity], scores)


def read_batch_predictions(warehouse: Warehouse, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
    """Batch predictions of the interval, with the labels that had arrived by `as_of`.

    Columns: entity and event time under the use case's names, `version`, `score` (probability of the positive class or of
    the class decided on, or the number predicted), `decision` (text: ``true`` or ``false``, a class, or a number),
    `probabilities` (JSON object by class as text; null unless there are classes), and `label` as the task has it: the
    warehouse's, else that of feedback (`noria.data.tables.feedback`), else null. Ordered by event time and entity.

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
