"""A training set in memory, and the way time cuts it into slices that cannot see each other's labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.errors import NotEnoughDataError
from noria.core.interval import Interval
from noria.core.results import SnapshotRef
from noria.core.use_case import UseCase

LABEL = "label"
MIN_CLASS_ROWS = 20
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_SHARE = 4
"""A held-out slice takes at most one part in this many of the time there is."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows in order of time. A numeric column is float64 with NaN where missing, a categorical one a list of str or None."""

    columns: Mapping[str, Any]
    labels: npt.NDArray[np.bool_]
    times: npt.NDArray[np.int64]
    """Event times, microseconds since 1970 UTC."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.intp]) -> TrainingSet:
        """The rows at these positions."""
        columns = {
            name: values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
            for name, values in self.columns.items()
        }
        return TrainingSet(columns, self.labels[rows], self.times[rows])

    def between(self, start: datetime | None, end: datetime) -> TrainingSet:
        """The rows with event times ``start <= t < end``."""
        first = 0 if start is None else int(np.searchsorted(self.times, _micros(start), side="left"))
        last = int(np.searchsorted(self.times, _micros(end), side="left"))
        return self.take(np.arange(first, max(first, last)))

    def row(self, index: int) -> dict[str, Any]:
        """One row as an app would send it: a missing value is None."""
        return {name: _plain(values[index]) for name, values in self.columns.items()}


@dataclass(frozen=True)
class Fold:
    """Rows to learn from, and later rows to be judged on."""

    training: TrainingSet
    validation: TrainingSet
    window: Interval
    """Event times of the validation rows."""


def read_snapshot(use_case: UseCase, snapshot: SnapshotRef) -> TrainingSet:
    """Load a snapshot's features and labels.

    Raises:
        NotEnoughDataError: the file is not there, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(snapshot.path)
    wanted = [use_case.event_time, *use_case.features.names, LABEL]
    if not path.exists():
        raise NotEnoughDataError(f"snapshot {path} is gone: run the snapshot step again, it gives the same file")
    if lacking := set(wanted) - set(pq.read_schema(path).names):
        raise NotEnoughDataError(f"snapshot {path} lacks {', '.join(sorted(lacking))}: take it again with this use case")
    table = pq.read_table(path, columns=wanted)
    times = table[use_case.event_time].cast(pa.timestamp("us", tz="UTC")).cast("int64").to_numpy()
    order = np.argsort(times, kind="stable")
    columns: dict[str, Any] = {
        name: table[name].cast("float64").to_numpy()
        if name in use_case.features.numeric
        else table[name].cast("string").to_pylist()
        for name in use_case.features.names
    }
    return TrainingSet(columns, table[LABEL].to_numpy().astype(bool), times).take(order)


def last_slice(rows: TrainingSet, window: timedelta, gap: timedelta) -> Fold:
    """Cut off the last slice of time, with a gap before it.

    Rows whose labels were not known when the slice began (`gap` is how long a label takes) are in neither part: a model
    that starts on that day could not have learnt from them. The slice is never more than a quarter of the time there is.

    Raises:
        NotEnoughDataError: a part has too few rows of either class.
    """
    if not len(rows):
        raise NotEnoughDataError("the training set is empty: wait for more data")
    end = _instant(int(rows.times[-1])) + _MICROSECOND
    start = end - min(window, max((end - _instant(int(rows.times[0]))) / _LARGEST_SHARE, _MICROSECOND))
    fold = Fold(rows.between(None, start - gap), rows.between(start, end), Interval(start, end))
    for part, name in ((fold.training, "before"), (fold.validation, "in")):
        _require_both_classes(part, f"{name} the slice {fold.window}")
    return fold


def _require_both_classes(rows: TrainingSet, where: str) -> None:
    positives = int(rows.labels.sum())
    if min(positives, len(rows) - positives) < MIN_CLASS_ROWS:
        raise NotEnoughDataError(
            f"{where} there are {len(rows)} labelled rows, {positives} of them positive; at least {MIN_CLASS_ROWS} of each "
            "class are needed: wait for more data, or change training.test_window"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def _micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
