"""The port of features and labels: what dbt has made, and which intervals may be used."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from noria.core.base.interval import Interval
from noria.core.base.results import SnapshotRef
from noria.core.use_case import UseCase


class FeatureStore(Protocol):
    """Features and labels of every use case, by event time."""

    def read_features(self, use_case: UseCase, interval: Interval) -> pa.Table:
        """Entity, event time and features of the interval, ordered by event time and entity.

        Numbers are float64 (null where missing), categories are text.

        Raises:
            TransformError: the features were never built, or lack a column that the use case names.
        """
        ...

    def read_labels(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Entity, event time and `label` of the interval's entities whose label had arrived by `as_of`.

        `label` is boolean, text or float64, as the task is. Ordered by event time and entity.

        Raises:
            TransformError: the labels were never built, or one is not what the task asks for.
        """
        ...

    def take_snapshot(self, use_case: UseCase, as_of: datetime, folder: Path) -> SnapshotRef:
        """Freeze every entity whose label had arrived by `as_of`, but for intervals in quarantine.

        The file `<digest>.parquet` has the entity, the event time, the features, `label` and `label_known_at`, ordered by
        event time and entity. Taking the same data twice gives the same file.

        Args:
            use_case: whose training set it is.
            as_of: nothing that became known later is used.
            folder: where the file goes.

        Raises:
            NotEnoughDataError: fewer labelled rows than `training.min_labels`.
            TransformError: the features or labels were never built, or a label is not what the task asks for.
        """
        ...

    def quarantine(self, use_case: UseCase, interval: Interval) -> None:
        """Keep the interval's features from use until `release`."""
        ...

    def release(self, use_case: UseCase, interval: Interval) -> None:
        """End the quarantine of what lies within the interval."""
        ...

    def refuse_quarantined(self, use_case: UseCase, interval: Interval) -> None:
        """Let an interval pass whose features have passed.

        Raises:
            QualityError: some of the interval's features have not.
        """
        ...
