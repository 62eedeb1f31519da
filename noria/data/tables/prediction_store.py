"""Batch predictions and served predictions as ports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.model.decision import Decisions, Scores
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.predictions import read_batch_predictions, replace_batch_predictions
from noria.data.tables.rollout_rows import count_scored, is_asked, read_rollout_rows


class PostgresBatchPredictions:
    """`noria.ports.prediction_store.BatchPredictions` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def replace(  # noqa: PLR0917 - the port's
        self,
        use_case: UseCase,
        interval: Interval,
        version: str,
        rows: pa.Table,
        scores: Scores,
        decisions: Decisions,
        classes: Sequence[str] = (),
    ) -> ScoreResult:
        """Replace the interval's predictions in one transaction."""
        return replace_batch_predictions(self._warehouse, use_case, interval, version, rows, scores, decisions, classes)

    def read(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Predictions of the interval, with labels."""
        return read_batch_predictions(self._warehouse, use_case, interval, as_of)


class PostgresServedPredictions:
    """`noria.ports.prediction_store.ServedPredictions` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def rows_since(self, use_case: UseCase, versions: tuple[str, str], since: datetime, as_of: datetime) -> pa.Table:
        """Rows that either version scored since an instant."""
        return read_rollout_rows(self._warehouse, use_case, versions, since, as_of)

    def count_since(self, use_case: UseCase, version: str, since: datetime) -> int:
        """Rows that a version has scored since an instant."""
        return count_scored(self._warehouse, use_case, version, since)

    def any_since(self, use_case: UseCase, since: datetime) -> bool:
        """Whether any version has scored anything since an instant."""
        return is_asked(self._warehouse, use_case, since)
