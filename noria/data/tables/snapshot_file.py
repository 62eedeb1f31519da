"""The file of a snapshot: content-addressed Parquet, the same bytes for the same rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.io.atomic import DRAFT_PREFIX, SHARED, draft_in, publish


def require_min_labels(use_case: UseCase, rows: pa.Table, as_of: datetime) -> None:
    """Check that there are enough labelled rows to train on.

    Raises:
        NotEnoughDataError: fewer than `training.min_labels`.
    """
    if len(rows) < use_case.training.min_labels:
        raise NotEnoughDataError(
            f"{use_case.name}: {len(rows)} labelled rows as of {as_of:%Y-%m-%d}, training.min_labels asks for "
            f"{use_case.training.min_labels}; run the data pipeline for earlier intervals, or train as of a later date"
        )


def freeze(rows: pa.Table, as_of: datetime, folder: Path) -> SnapshotRef:
    """Write the rows as `<digest>.parquet`; one caller at a time for a folder.

    Args:
        rows: labelled, with a column `label`.
        as_of: nothing in them became known later.
        folder: where the file goes.
    """
    digest, path = _write(rows, folder)
    return SnapshotRef(
        digest=digest,
        path=str(path),
        as_of=as_of.astimezone(UTC).isoformat(),
        rows=len(rows),
        positives=_positives(rows["label"]),
    )


def _positives(label: pa.ChunkedArray) -> int:
    """How many are yes; 0 for a task that does not ask yes or no."""
    return int(pc.sum(label).as_py() or 0) if pa.types.is_boolean(label.type) else 0


def _write(rows: pa.Table, folder: Path) -> tuple[str, Path]:
    """Write under the digest of the bytes: beside its place first, so that a killed run leaves no half of it.

    No other process writes there meanwhile: drafts that lie there are of runs that were killed, and go.
    """
    for left in folder.glob(f"{DRAFT_PREFIX}*.parquet"):
        left.unlink(missing_ok=True)
    with draft_in(folder, suffix=".parquet") as draft:
        pq.write_table(rows.combine_chunks(), draft, compression="zstd", row_group_size=65_536, store_schema=False)
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()
        path = folder / f"{digest}.parquet"
        publish(draft, path, mode=SHARED)
    return digest, path
