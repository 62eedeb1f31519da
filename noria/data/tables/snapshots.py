"""Training sets frozen as of a date: what was known then, as content-addressed Parquet."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path

import pyarrow as pa

from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.data.postgres.locks import holding
from noria.data.postgres.warehouse import Warehouse, quote
from noria.data.tables.features import LABEL_KNOWN_AT, arrived, feature_table, label_table, require, selection
from noria.data.tables.labels import label_selection, with_task_label
from noria.data.tables.quarantine import passed
from noria.data.tables.snapshot_file import freeze, require_min_labels


def take_snapshot(warehouse: Warehouse, use_case: UseCase, as_of: datetime, folder: Path) -> SnapshotRef:
    """Freeze every entity whose label had arrived by `as_of`, but for intervals in quarantine.

    The file `<digest>.parquet` has the entity, the event time, the features, `label` (boolean, class name or number, as the
    task is) and `label_known_at`, ordered by event time and entity. The same data gives the same bytes, so taking it twice
    gives the same file.

    Args:
        warehouse: has the features and labels.
        use_case: whose they are.
        as_of: nothing that became known later is used.
        folder: where the file goes.

    Raises:
        NotEnoughDataError: fewer labelled rows than `training.min_labels`.
        TransformError: the features or labels were never built, or a label is not what the task asks for.
    """
    rows = _labelled_rows(warehouse, use_case, as_of)
    require_min_labels(use_case, rows, as_of)
    with holding(warehouse, (f"noria.snapshot/{use_case.name}",)):
        return freeze(rows, as_of, folder)


def _labelled_rows(warehouse: Warehouse, use_case: UseCase, as_of: datetime) -> pa.Table:
    features, labels = feature_table(use_case), label_table(use_case)
    entity, event_time = quote(use_case.entity), quote(use_case.event_time)
    require(warehouse, features, (use_case.entity, use_case.event_time, *use_case.features.names))
    require(warehouse, labels, (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT))
    first = datetime.combine(use_case.schedule.start, time(), UTC)
    found = warehouse.read_arrow(
        f"select {selection(use_case)}, {label_selection(use_case)}, l.{quote(LABEL_KNOWN_AT)} "
        f"from {features} as f "
        f"join {labels} as l on l.{entity} = f.{entity} and l.{event_time} = f.{event_time} "
        f"where f.{event_time} >= $1 and {arrived(use_case, 2)} and {passed(use_case, 'f')} "
        f"order by f.{event_time}, f.{entity}",
        (first, as_of, as_of - use_case.label.available_after),
    )
    return with_task_label(use_case, found)
