"""Training sets frozen as of a date: what was known then, as content-addressed Parquet."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.data.postgres.locks import holding
from noria.data.postgres.warehouse import Warehouse, quote
from noria.data.tables.features import LABEL_KNOWN_AT, arrived, feature_table, label_table, require, selection
from noria.data.tables.labels import label_selection, with_task_label
from noria.data.tables.quarantine import passed
from noria.io.atomic import DRAFT_PREFIX, SHARED, draft_in, publish


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
    if len(rows) < use_case.training.min_labels:
        raise NotEnoughDataError(
            f"{use_case.name}: {len(rows)} labelled rows as of {as_of:%Y-%m-%d}, training.min_labels asks for "
            f"{use_case.training.min_labels}; run the data pipeline for earlier intervals, or train as of a later date"
        )
    with holding(warehouse, (f"noria.snapshot/{use_case.name}",)):
        digest, path = _write(rows, folder)
    return SnapshotRef(
        digest=digest,
        path=str(path),
        as_of=as_of.astimezone(UTC).isoformat(),
        rows=len(rows),
        positives=_positives(rows["label"]),
    )


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


def _positives(label: pa.ChunkedArray) -> int:
    """How many are yes; 0 for a task that does not ask yes or no."""
    return int(pc.sum(label).as_py() or 0) if pa.types.is_boolean(label.type) else 0


def _write(rows: pa.Table, folder: Path) -> tuple[str, Path]:
    """Write under the digest of the bytes: beside its place first, so that a killed run leaves no half of it.

    Nobody else writes there meanwhile: drafts that lie there are of runs that were killed, and go.
    """
    for left in folder.glob(f"{DRAFT_PREFIX}*.parquet"):
        left.unlink(missing_ok=True)
    with draft_in(folder, suffix=".parquet") as draft:
        pq.write_table(rows.combine_chunks(), draft, compression="zstd", row_group_size=65_536, store_schema=False)
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()
        path = folder / f"{digest}.parquet"
        publish(draft, path, mode=SHARED)
    return digest, path
