"""Features, labels and snapshots as a port."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa

from noria.core.base.interval import Interval
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables import quarantine
from noria.data.tables.features import read_features, read_labels
from noria.data.tables.snapshots import take_snapshot


class PostgresFeatureStore:
    """`noria.ports.feature_store.FeatureStore` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def read_features(self, use_case: UseCase, interval: Interval) -> pa.Table:
        """Entity, event time and features of the interval."""
        return read_features(self._warehouse, use_case, interval)

    def read_labels(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Entity, event time and label of the interval's entities whose label had arrived."""
        return read_labels(self._warehouse, use_case, interval, as_of)

    def take_snapshot(self, use_case: UseCase, as_of: datetime, folder: Path) -> SnapshotRef:
        """Freeze the labelled rows as of a date."""
        return take_snapshot(self._warehouse, use_case, as_of, folder)

    def quarantine(self, use_case: UseCase, interval: Interval) -> None:
        """Keep the interval's features from use."""
        quarantine.quarantine(self._warehouse, use_case, interval)

    def release(self, use_case: UseCase, interval: Interval) -> None:
        """End the quarantine of what lies within the interval."""
        quarantine.release(self._warehouse, use_case, interval)

    def refuse_quarantined(self, use_case: UseCase, interval: Interval) -> None:
        """Let an interval pass whose features have passed."""
        quarantine.refuse_quarantined(self._warehouse, use_case, interval)
