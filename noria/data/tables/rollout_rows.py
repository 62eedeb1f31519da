"""What champion and challenger have scored over REST since a rollout began, with the labels that have come."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from sqlalchemy import text

from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse, quote
from noria.data.tables.features import LABEL_KNOWN_AT, arrived, label_table
from noria.data.tables.labels import label_selection, with_task_label

MOST_ROWS = 200_000
"""Rows of each version that are read. Of more, a sample of the entities is read, over all the time of the rollout."""
_UNKNOWN = f"null::timestamptz as {LABEL_KNOWN_AT}"


def read_rollout_rows(
    warehouse: Warehouse,
    use_case: UseCase,
    versions: tuple[str, str],
    since: datetime,
    as_of: datetime,
    *,
    most_rows: int = MOST_ROWS,
) -> pa.Table:
    """Rows that either version scored since an instant, shadow rows included, in the order of the requests.

    Columns: those of `noria.ports.prediction_store.ServedPredictions.rows_since`. An entity is in the sample by a hash of
    its id. The sample of a later call is a part of the one before, until it is small enough.

    Args:
        warehouse: where predictions and labels are.
        use_case: whose rows.
        versions: champion and challenger.
        since: when the rollout began.
        as_of: labels that became known later are left out.
        most_rows: of each version.

    Raises:
        TransformError: a label is not what the task asks for.
    """
    labels = label_table(use_case)
    wanted = (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT)
    known = set(wanted) <= set(warehouse.columns(labels))  # no label model was built yet: nothing has come
    segments = "".join(f", p.features->>'{name}' as {quote(name)}" for name in use_case.segments)
    label = f"{label_selection(use_case)}, l.{LABEL_KNOWN_AT}" if known else f"null::text as label, {_UNKNOWN}"
    join = (
        f"left join {labels} as l on l.{quote(use_case.entity)}::text = p.entity and {arrived(use_case, 5)}" if known else ""
    )
    instants = (as_of, as_of - use_case.label.available_after) if known else ()
    counts = _counts(warehouse, use_case, versions, since)
    sampled = " union all ".join(
        f"({_sample(place, counts.get(version, 0), most_rows)})"
        for place, version in zip(("$2", "$3"), versions, strict=True)
    )
    found = warehouse.read_arrow(
        "select p.version, p.requested_at, p.entity, p.score, p.decision, coalesce(p.alias, '') <> 'shadow' as answered, "
        f"p.stands_for{segments}, {label} from ({sampled}) as p {join} "
        "order by p.requested_at, p.id",
        (use_case.name, *versions, since, *instants),
    )
    return with_task_label(use_case, found) if known else found


def count_scored(warehouse: Warehouse, use_case: UseCase, version: str, since: datetime) -> int:
    """Rows that a version has scored since an instant, shadow included, capped at `MOST_ROWS`."""
    counted = text(
        "select count(*) from (select from ops.predictions where use_case = :use_case and version = :version "
        f"and requested_at >= :since limit {MOST_ROWS}) as scored"
    )
    with warehouse.transaction() as connection:
        found = connection.scalar(counted, {"use_case": use_case.name, "version": version, "since": since})
    return int(found or 0)


def is_asked(warehouse: Warehouse, use_case: UseCase, since: datetime) -> bool:
    """Whether any version has scored anything since an instant."""
    newest = text("select max(requested_at) >= :since from ops.predictions where use_case = :use_case")
    with warehouse.transaction() as connection:
        return bool(connection.scalar(newest, {"use_case": use_case.name, "since": since}))


def _counts(warehouse: Warehouse, use_case: UseCase, versions: tuple[str, str], since: datetime) -> dict[str, int]:
    counted = text(
        "select version, count(*) as rows from ops.predictions where use_case = :use_case and version in (:one, :other) "
        "and requested_at >= :since group by version"
    )
    bound = {"use_case": use_case.name, "one": versions[0], "other": versions[1], "since": since}
    with warehouse.transaction() as connection:
        return {row.version: row.rows for row in connection.execute(counted, bound)}


def _sample(version: str, count: int, most_rows: int) -> str:
    """Rows of the version in that parameter, of every 2^k-th entity; requests without an entity by their id."""
    every = 1
    while count > most_rows * every:
        every *= 2
    return (
        f"select *, {every} as stands_for from ops.predictions where use_case = $1 and version = {version} "
        f"and requested_at >= $4 and hashtextextended(coalesce(entity, id::text), 0) & {every - 1} = 0"
    )
