"""Predictions in memory that keep the contracts of the ports; the contract suite runs over them and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.model.decision import Decisions, Scores
from noria.core.use_case import Task, UseCase
from noria.data.tables.features import LABEL_KNOWN_AT
from noria.data.tables.feedback import fill_labels
from noria.data.tables.prediction_rows import prediction_rows, score_result
from noria.testing.fakes.feature_store import InMemoryFeatureStore, within
from noria.testing.fakes.interruption import DatabaseRefusalError, Killed

_MOMENT = pa.timestamp("us", "UTC")
_LABELS = {Task.BINARY_CLASSIFICATION: pa.bool_(), Task.MULTICLASS: pa.string(), Task.REGRESSION: pa.float64()}


class InMemoryBatchPredictions:
    """`noria.ports.prediction_store.BatchPredictions` without a database.

    Args:
        features: have the labels.

    Attributes:
        feedback: what apps have reported, by use case: entity, event time and `label`.
        killed_before_commit: the next replacement ends with `Killed` and keeps what was there, once.
    """

    def __init__(self, features: InMemoryFeatureStore) -> None:
        self._features = features
        self._rows: dict[str, pa.Table] = {}
        self.feedback: dict[str, pa.Table] = {}
        self.killed_before_commit = False

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
        """Replace the interval's predictions."""
        predictions = prediction_rows(use_case, version, rows, scores, decisions, classes)
        if self.killed_before_commit:
            self.killed_before_commit = False
            raise Killed
        kept = [predictions]
        if use_case.name in self._rows:
            there = self._rows[use_case.name]
            kept.append(there.filter(pc.invert(within(there["event_time"], interval))))
        table = pa.concat_tables(kept)
        if table["entity"].null_count or table["event_time"].null_count or len(table["entity"].unique()) < len(table):
            raise DatabaseRefusalError("an entity that is null or there twice, or no event time")
        self._rows[use_case.name] = table
        return score_result(version, rows[use_case.entity], scores)

    def read(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Predictions of the interval, with labels."""
        labels = self._features.arrived_labels(use_case, as_of)
        keys, names = [use_case.entity, use_case.event_time], ["version", "score", "decision", "probabilities"]
        nothing = prediction_rows(use_case, "", labels.slice(0, 0), np.empty(0), np.empty(0))
        rows = self._rows.get(use_case.name, nothing)
        rows = rows.filter(within(rows["event_time"], interval)).select(["entity", "event_time", *names])
        found = rows.rename_columns([*keys, *names]).join(labels.select([*keys, "label"]), keys)
        found = found.sort_by([(use_case.event_time, "ascending"), (use_case.entity, "ascending")])
        feedback = self.feedback.get(use_case.name)
        return found if feedback is None else fill_labels(use_case, found, feedback)


@dataclass(frozen=True)
class ServedRow:
    """One prediction that serving gave; `segments` are the values of the use case's segments."""

    version: str
    at: datetime
    entity: str | None
    score: float
    decision: str
    segments: Mapping[str, str] = field(default_factory=dict)
    shadow: bool = False


class InMemoryServedPredictions:
    """`noria.ports.prediction_store.ServedPredictions` without a database.

    Args:
        features: have the labels, each entity's once.
    """

    def __init__(self, features: InMemoryFeatureStore) -> None:
        self._features = features
        self._rows: dict[str, list[ServedRow]] = {}

    def serve(self, use_case: UseCase, rows: Sequence[ServedRow]) -> None:
        """Scores of serving, in addition to what is there."""
        self._rows.setdefault(use_case.name, []).extend(rows)

    def rows_since(self, use_case: UseCase, versions: tuple[str, str], since: datetime, as_of: datetime) -> pa.Table:
        """Rows that either version scored since an instant."""
        rows = [row for row in self._since(use_case, since) if row.version in versions]
        labels, known_at, kind = self._labels(use_case, as_of)
        columns = {
            "version": pa.array([row.version for row in rows], pa.string()),
            "requested_at": pa.array([row.at for row in rows], _MOMENT),
            "entity": pa.array([row.entity for row in rows], pa.string()),
            "score": pa.array([row.score for row in rows], pa.float64()),
            "decision": pa.array([row.decision for row in rows], pa.string()),
            "answered": pa.array([not row.shadow for row in rows], pa.bool_()),
            "stands_for": pa.array([1] * len(rows), pa.int32()),
        }
        for name in use_case.segments:
            columns[name] = pa.array([row.segments.get(name) for row in rows], pa.string())
        columns["label"] = pa.array([labels.get(row.entity) for row in rows], kind)
        columns[LABEL_KNOWN_AT] = pa.array([known_at.get(row.entity) for row in rows], _MOMENT)
        return pa.table(columns)

    def count_since(self, use_case: UseCase, version: str, since: datetime) -> int:
        """Rows that a version has scored since an instant."""
        return sum(row.version == version for row in self._since(use_case, since))

    def any_since(self, use_case: UseCase, since: datetime) -> bool:
        """Whether any version has scored anything since an instant."""
        return bool(self._since(use_case, since))

    def _since(self, use_case: UseCase, since: datetime) -> list[ServedRow]:
        return sorted((row for row in self._rows.get(use_case.name, ()) if row.at >= since), key=lambda row: row.at)

    def _labels(
        self, use_case: UseCase, as_of: datetime
    ) -> tuple[Mapping[str | None, object], Mapping[str | None, object], pa.DataType]:
        """Label by entity, when it became known, and its type; text where no label model was built yet."""
        if not self._features.has_labels(use_case):
            return {}, {}, pa.string()
        rows = self._features.arrived_labels(use_case, as_of)
        entities, labels, known_at = (rows[name].to_pylist() for name in (use_case.entity, "label", LABEL_KNOWN_AT))
        return (
            dict(zip(entities, labels, strict=True)),
            dict(zip(entities, known_at, strict=True)),
            _LABELS[use_case.task],
        )
