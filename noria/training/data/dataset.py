"""Training sets: columns, labels and times of a snapshot's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.interval import Interval
from noria.core.base.results import SnapshotRef
from noria.core.model.decision import Labels
from noria.core.use_case import Features, Task, UseCase
from noria.training.data.columns import Categories
from noria.training.data.parquet_columns import MOST_IN_MEMORY, StoredColumns, categories_of

LABEL, LABEL_KNOWN_AT = "label", "label_known_at"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class TrainingSet:
    """Rows in order of time.

    Attributes:
        columns: a numeric column is float64 with NaN for missing values, shape ``(rows,)``; a categorical one is
            `Categories`, or another sequence of str and None. Columns of very many rows are on disk, and read when used.
        labels: bool (binary classification), index into `label.classes` as int64 (multiclass), or float64 (regression);
            shape ``(rows,)``.
        times: event times, microseconds since 1970 UTC; shape ``(rows,)``.
        known_at: times at which the labels became known, in the same unit and shape; None if the snapshot has none.
    """

    columns: Mapping[str, Any]
    labels: Labels
    times: npt.NDArray[np.int64]
    known_at: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.intp]) -> TrainingSet:
        """The rows at these positions."""
        if isinstance(self.columns, StoredColumns):
            columns = self.columns.take(rows)
        else:
            columns = {name: _take(values, rows) for name, values in self.columns.items()}
        known_at = None if self.known_at is None else self.known_at[rows]
        return TrainingSet(columns, self.labels[rows], self.times[rows], known_at)

    def between(self, start: datetime | None, end: datetime) -> TrainingSet:
        """The rows with event times ``start <= t < end``."""
        first = 0 if start is None else int(np.searchsorted(self.times, micros(start), side="left"))
        last = int(np.searchsorted(self.times, micros(end), side="left"))
        return self.take(np.arange(first, max(first, last)))

    def labelled_by(self, instant: datetime) -> TrainingSet:
        """The rows whose labels were known before an instant; all rows if the snapshot has no such times."""
        return self if self.known_at is None else self.take(np.flatnonzero(self.known_at < micros(instant)))

    def categories(self, name: str) -> Categories:
        """A categorical column."""
        values = self.columns[name]
        return values if isinstance(values, Categories) else Categories.of(values)

    def row(self, index: int) -> dict[str, Any]:
        """One row as an app sends it; a missing value is None."""
        return {name: _plain(values[index]) for name, values in self.columns.items()}


@dataclass(frozen=True)
class Fold:
    """Training rows and validation rows.

    Attributes:
        training: rows to learn from.
        validation: other rows, later ones if the split is by time.
        window: event times of the validation rows.
    """

    training: TrainingSet
    validation: TrainingSet
    window: Interval


@dataclass(frozen=True)
class SnapshotSchema:
    """Columns of a snapshot.

    Attributes:
        event_time: name of the column with the event time.
        features: columns that a model may use.
        task: decides the type of the label.
        classes: names of the classes; empty unless the task is multiclass.
    """

    event_time: str
    features: Features
    task: Task
    classes: tuple[str, ...]


def snapshot_schema(use_case: UseCase) -> SnapshotSchema:
    """The columns that a use case needs."""
    return SnapshotSchema(use_case.event_time, use_case.features, use_case.task, use_case.label.classes)


def read_snapshot(schema: SnapshotSchema, snapshot: SnapshotRef, *, most_in_memory: int = MOST_IN_MEMORY) -> TrainingSet:
    """Read labels and features of a snapshot.

    Args:
        schema: columns to read.
        snapshot: the file.
        most_in_memory: the features of more rows than this stay on disk until they are used.

    Raises:
        NotEnoughDataError: the file or a column is missing, or a label is not one of the classes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(snapshot.path)
    features = schema.features
    wanted = [schema.event_time, *features.names, LABEL]
    if not path.exists():
        raise NotEnoughDataError(f"snapshot {path} is gone: run the snapshot step again, it writes the same file")
    if lacking := set(wanted) - set(pq.read_schema(path).names):
        raise NotEnoughDataError(f"snapshot {path} lacks {', '.join(sorted(lacking))}: take it again with this use case")
    dated = [schema.event_time, *({LABEL_KNOWN_AT} & set(pq.read_schema(path).names))]
    table = pq.read_table(path, columns=[*dated, LABEL])
    times, *known_at = (table[name].cast(pa.timestamp("us", tz="UTC")).cast("int64").to_numpy() for name in dated)
    columns = StoredColumns(path, frozenset(features.numeric), features.names, range(len(times)), most_in_memory)
    rows = TrainingSet(columns, _labels(schema, table[LABEL], path), times, *known_at)
    in_order = bool(np.all(times[1:] >= times[:-1]))
    if in_order and len(rows) > most_in_memory:
        return rows
    loaded = replace(rows, columns=columns.loaded())
    return loaded if in_order else loaded.take(np.argsort(times, kind="stable"))


def _labels(schema: SnapshotSchema, column: Any, path: Path) -> Labels:
    if schema.task.is_regression:
        return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)
    if schema.task.is_binary:
        return np.asarray(column.to_numpy()).astype(np.bool_)
    labels, classes = categories_of(column), schema.classes
    if unknown := sorted(set(labels.names) - set(classes)):
        raise NotEnoughDataError(
            f"snapshot {path}: label {unknown[0]!r} is no class of label.classes ({', '.join(classes)}); "
            "add it there, or correct the label's model"
        )
    return labels.spread(np.array([*(classes.index(name) for name in labels.names), -1], dtype=np.int64))


def _take(values: Any, rows: npt.NDArray[np.intp]) -> Any:
    if isinstance(values, Categories):
        return values.take(rows)
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
