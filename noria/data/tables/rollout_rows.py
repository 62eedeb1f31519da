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
"""Rows of each version that are read, the newest: by then any difference that matters has long been sure."""


def read_rollout_rows(
    warehouse: Warehouse, use_case: UseCase, versions: tuple[str, str], since: datetime, as_of: datetime
) -> pa.Table:
    """Rows that either version scored since an instant, shadow rows included, in the order of the requests.

    Columns: `version`, `requested_at`, `entity` (null where the app gave none), `score`, `decision` (text), each segment of
    the use case under its name (text), and `label` as the task has it (null where none had come by `as_of`).

    Args:
        warehouse: where predictions and labels are.
        use_case: whose rows.
        versions: champion and challenger.
        since: when the rollout began.
        as_of: labels that became known later are left out.

    Raises:
        TransformError: a label is not what the task asks for.
    """
    labels = label_table(use_case)
    wanted = (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT)
    known = set(wanted) <= set(warehouse.columns(labels))  # no label model was built yet: nothing has come
    segments = "".join(f", p.features->>'{name}' as {quote(name)}" for name in use_case.segments)
    label = label_selection(use_case) if known else "null::text as label"
    join = (
        f"left join {labels} as l on l.{quote(use_case.entity)}::text = p.entity and {arrived(use_case, 5)}" if known else ""
    )
    instants = (as_of, as_of - use_case.label.available_after) if known else ()
    newest = " union all ".join(f"({_newest(place)})" for place in ("$2", "$3"))
    found = warehouse.read_arrow(
        f"select p.version, p.requested_at, p.entity, p.score, p.decision{segments}, {label} from ({newest}) as p {join} "
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


def _newest(version: str) -> str:
    """The newest rows of the version in that parameter; from the index, since a busy use case has millions."""
    return (
        f"select * from ops.predictions where use_case = $1 and version = {version} and requested_at >= $4 "
        f"order by requested_at desc limit {MOST_ROWS}"
    )
