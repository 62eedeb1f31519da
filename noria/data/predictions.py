"""Batch predictions: one score per entity of an interval, replaced whole with the interval."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import text

from noria.core.interval import Interval
from noria.core.results import ScoreResult
from noria.core.use_case import UseCase
from noria.data.features import LABEL_KNOWN_AT, arrived, label_table, require, with_boolean_label
from noria.data.locks import lock_interval
from noria.data.warehouse import Table, Warehouse, append, quote

_TABLE = Table("ops", "batch_predictions")


def replace_batch_predictions(  # noqa: PLR0917 - the parts of one result, which jobs has at hand
    warehouse: Warehouse,
    use_case: UseCase,
    interval: Interval,
    version: str,
    rows: pa.Table,
    scores: npt.NDArray[np.float64],
    threshold: float,
) -> ScoreResult:
    """Replace the interval's batch predictions in one transaction.

    Args:
        warehouse: where they go.
        use_case: whose they are.
        interval: which rows are replaced.
        version: the model version that gave the scores.
        rows: has the entity and the event time, one row per score.
        scores: probabilities of the positive class; shape ``(rows,)``.
        threshold: decide yes where the score is at least this.
    """
    entities, times = rows[use_case.entity], rows[use_case.event_time]
    predictions = pa.table(
        {
            "use_case": pa.repeat(use_case.name, len(rows)),
            "entity": entities,
            "event_time": times,
            "version": pa.repeat(version, len(rows)),
            "score": pa.array(scores, pa.float64()),
            "decision": pa.array(scores >= threshold, pa.bool_()),
        }
    )
    with warehouse.transaction() as connection:
        lock_interval(connection, use_case, interval, "predictions")
        connection.execute(
            text(f"delete from {_TABLE} where use_case = :use_case and event_time >= :start and event_time < :end"),
            {"use_case": use_case.name, "start": interval.start, "end": interval.end},
        )
        append(connection, _TABLE, predictions)
    return ScoreResult(version=version, rows=len(rows), digest=_digest(entities, scores))


def read_batch_predictions(warehouse: Warehouse, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
    """Batch predictions of the interval, with the labels that had arrived by `as_of`.

    Columns: entity and event time under the use case's names, `version`, `score`, `decision`, and `label` (boolean; null
    where there is none, or not yet). Ordered by event time and entity.

    Raises:
        TransformError: the labels were never built.
    """
    labels = label_table(use_case)
    require(warehouse, labels, (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT))
    found = warehouse.read_arrow(
        f"select p.entity as {quote(use_case.entity)}, p.event_time as {quote(use_case.event_time)}, p.version, p.score, "
        f"p.decision, l.{quote(use_case.label.column)} as label from {_TABLE} as p "
        f"left join {labels} as l on l.{quote(use_case.entity)}::text = p.entity "
        f"and l.{quote(use_case.event_time)} = p.event_time and {arrived(use_case, 4)} "
        "where p.use_case = $1 and p.event_time >= $2 and p.event_time < $3 order by p.event_time, p.entity",
        (use_case.name, interval.start, interval.end, as_of, as_of - use_case.label.available_after),
    )
    return with_boolean_label(use_case, found)


def _digest(entities: pa.ChunkedArray, scores: npt.NDArray[np.float64]) -> str:
    lines = (f"{entity}\t{score!r}\n" for entity, score in zip(entities.to_pylist(), scores.tolist(), strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
