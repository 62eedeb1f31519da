"""Features and labels in memory that keep the contract of the port; the contract suite runs over them and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.base.errors import QualityError, TransformError
from noria.core.base.interval import Interval
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.data.tables.features import LABEL_KNOWN_AT
from noria.data.tables.labels import with_task_label
from noria.data.tables.snapshot_file import freeze, require_min_labels


class InMemoryFeatureStore:
    """`noria.ports.feature_store.FeatureStore` without a database: two Arrow tables of each use case."""

    def __init__(self) -> None:
        self._features: dict[str, pa.Table] = {}
        self._labels: dict[str, pa.Table] = {}
        self._quarantined: dict[str, set[Interval]] = {}

    def put_features(self, use_case: UseCase, rows: pa.Table) -> None:
        """Features as dbt makes them: entity, event time and features, in place of what was there."""
        self._features[use_case.name] = rows

    def put_labels(self, use_case: UseCase, rows: pa.Table) -> None:
        """Labels as dbt makes them: entity, event time, label and `label_known_at`, in place of what was there."""
        self._labels[use_case.name] = rows

    def read_features(self, use_case: UseCase, interval: Interval) -> pa.Table:
        """Entity, event time and features of the interval."""
        rows = self._feature_rows(use_case)
        return _in_order(use_case, rows.filter(within(rows[use_case.event_time], interval)))

    def read_labels(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Entity, event time and label of the interval's entities whose label had arrived."""
        rows = self.arrived_labels(use_case, as_of)
        found = rows.filter(within(rows[use_case.event_time], interval))
        return _in_order(use_case, found.select([use_case.entity, use_case.event_time, "label"]))

    def take_snapshot(self, use_case: UseCase, as_of: datetime, folder: Path) -> SnapshotRef:
        """Freeze the labelled rows as of a date."""
        keys = [use_case.entity, use_case.event_time]
        features, labels = self._feature_rows(use_case), self.arrived_labels(use_case, as_of)
        rows = features.join(labels, keys, join_type="inner")
        first = datetime.combine(use_case.schedule.start, time(), UTC)
        rows = rows.filter(pc.greater_equal(rows[use_case.event_time], pa.scalar(first)))
        for interval in self._quarantined.get(use_case.name, ()):
            rows = rows.filter(pc.invert(within(rows[use_case.event_time], interval)))
        require_min_labels(use_case, rows, as_of)
        return freeze(_in_order(use_case, rows), as_of, folder)

    def quarantine(self, use_case: UseCase, interval: Interval) -> None:
        """Keep the interval's features from use."""
        self._quarantined.setdefault(use_case.name, set()).add(interval)

    def release(self, use_case: UseCase, interval: Interval) -> None:
        """End the quarantine of what lies within the interval."""
        kept = self._quarantined.get(use_case.name, set())
        self._quarantined[use_case.name] = {
            one for one in kept if not (interval.start <= one.start and one.end <= interval.end)
        }

    def refuse_quarantined(self, use_case: UseCase, interval: Interval) -> None:
        """Let an interval pass whose features have passed."""
        kept = self._quarantined.get(use_case.name, set())
        found = sorted((one for one in kept if one.start < interval.end and interval.start < one.end), key=str)
        if found:
            raise QualityError(f"{use_case.name}: the features of {', '.join(map(str, found))} have not passed their checks")

    def has_labels(self, use_case: UseCase) -> bool:
        """Whether labels were built."""
        return use_case.name in self._labels

    def arrived_labels(self, use_case: UseCase, as_of: datetime) -> pa.Table:
        """Entity, event time, `label` and `label_known_at` of every label that had arrived by `as_of`.

        Raises:
            TransformError: the labels were never built, or one is not what the task asks for.
        """
        if use_case.name not in self._labels:
            raise TransformError(f"labels.{use_case.label.model} does not exist: run the transform step first")
        rows = self._labels[use_case.name]
        came = pc.and_(
            pc.less_equal(rows[LABEL_KNOWN_AT], pa.scalar(as_of)),
            pc.less_equal(rows[use_case.event_time], pa.scalar(as_of - use_case.label.available_after)),
        )
        rows = rows.filter(pc.and_(came, pc.is_valid(rows[use_case.label.column])))
        keys = [use_case.entity, use_case.event_time]
        named = rows.select([*keys, use_case.label.column, LABEL_KNOWN_AT]).rename_columns([*keys, "label", LABEL_KNOWN_AT])
        return with_task_label(use_case, named)

    def _feature_rows(self, use_case: UseCase) -> pa.Table:
        table = f"features.{use_case.features.model}"
        if use_case.name not in self._features:
            raise TransformError(f"{table} does not exist: run the transform step first")
        rows, names = self._features[use_case.name], [use_case.entity, use_case.event_time, *use_case.features.names]
        if missing := [name for name in names if name not in rows.column_names]:
            raise TransformError(f"{table} has no column {', '.join(missing)}")
        types = {use_case.entity: pa.string()} | dict.fromkeys(use_case.features.numeric, pa.float64())
        types |= dict.fromkeys(use_case.features.categorical, pa.string())
        return pa.table({name: rows[name].cast(types[name]) if name in types else rows[name] for name in names})


def within(times: pa.ChunkedArray, interval: Interval) -> pa.ChunkedArray:
    """Whether each time lies in the interval."""
    return pc.and_(pc.greater_equal(times, pa.scalar(interval.start)), pc.less(times, pa.scalar(interval.end)))


def _in_order(use_case: UseCase, rows: pa.Table) -> pa.Table:
    return rows.sort_by([(use_case.event_time, "ascending"), (use_case.entity, "ascending")])
