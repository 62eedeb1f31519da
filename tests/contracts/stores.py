"""Features, labels and predictions in memory and in PostgreSQL, filled the same way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import psycopg
import pyarrow as pa
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Table, Warehouse, append
from noria.data.tables.feature_store import PostgresFeatureStore
from noria.data.tables.features import feature_table, label_table
from noria.data.tables.prediction_store import PostgresBatchPredictions, PostgresServedPredictions
from noria.ports.feature_store import FeatureStore
from noria.ports.prediction_store import BatchPredictions, ServedPredictions
from noria.testing.fakes.feature_store import InMemoryFeatureStore
from noria.testing.fakes.interruption import DatabaseRefusalError
from noria.testing.fakes.prediction_store import InMemoryBatchPredictions, InMemoryServedPredictions, ServedRow

REFUSED = (DatabaseRefusalError, psycopg.Error, DBAPIError)
"""What a fake raises where PostgreSQL refuses rows, and what PostgreSQL's drivers raise."""
_TYPES = {
    pa.string(): "text",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.timestamp("us", "UTC"): "timestamptz",
}


class Stores(Protocol):
    """The ports, and how their rows get there."""

    features: FeatureStore
    predictions: BatchPredictions
    served: ServedPredictions

    def put_features(self, use_case: UseCase, rows: pa.Table) -> None: ...

    def put_labels(self, use_case: UseCase, rows: pa.Table) -> None: ...

    def put_feedback(self, use_case: UseCase, rows: pa.Table) -> None:
        """What apps have reported: entity, event time and `label` as text."""

    def serve(self, use_case: UseCase, rows: Sequence[ServedRow]) -> None: ...


@dataclass
class MemoryStores:
    features: InMemoryFeatureStore
    predictions: InMemoryBatchPredictions
    served: InMemoryServedPredictions

    def put_features(self, use_case: UseCase, rows: pa.Table) -> None:
        self.features.put_features(use_case, rows)

    def put_labels(self, use_case: UseCase, rows: pa.Table) -> None:
        self.features.put_labels(use_case, rows)

    def put_feedback(self, use_case: UseCase, rows: pa.Table) -> None:
        typed = pa.array([text == "true" for text in rows["label"].to_pylist()])
        self.predictions.feedback[use_case.name] = rows.set_column(2, "label", typed)

    def serve(self, use_case: UseCase, rows: Sequence[ServedRow]) -> None:
        self.served.serve(use_case, rows)


def memory_stores() -> MemoryStores:
    features = InMemoryFeatureStore()
    return MemoryStores(features, InMemoryBatchPredictions(features), InMemoryServedPredictions(features))


class PostgresStores:
    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.features = PostgresFeatureStore(warehouse)
        self.predictions = PostgresBatchPredictions(warehouse)
        self.served = PostgresServedPredictions(warehouse)

    def put_features(self, use_case: UseCase, rows: pa.Table) -> None:
        self._replace(feature_table(use_case), rows)

    def put_labels(self, use_case: UseCase, rows: pa.Table) -> None:
        self._replace(label_table(use_case), rows)

    def put_feedback(self, use_case: UseCase, rows: pa.Table) -> None:
        insert = text(
            "insert into ops.feedback (id, use_case, entity, event_time, label, at, received_at) "
            "values (:id, :use_case, :entity, :event_time, :label, :event_time, :event_time)"
        )
        with self._warehouse.transaction() as connection:
            for entity, event_time, label in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                facts = {"entity": entity, "event_time": event_time, "label": label}
                connection.execute(insert, facts | {"id": str(uuid.uuid4()), "use_case": use_case.name})

    def serve(self, use_case: UseCase, rows: Sequence[ServedRow]) -> None:
        insert = text(
            "insert into ops.predictions (id, use_case, version, requested_at, entity, features, score, decision, "
            "latency_ms, alias) values (:id, :use_case, :version, :at, :entity, :features, :score, :decision, 1, :alias)"
        )
        with self._warehouse.transaction() as connection:
            for row in rows:
                facts = {"id": str(uuid.uuid4()), "use_case": use_case.name, "features": json.dumps(dict(row.segments))}
                own = {name: getattr(row, name) for name in ("version", "at", "entity", "score", "decision")}
                connection.execute(insert, facts | own | {"alias": "shadow" if row.shadow else None})

    def _replace(self, table: Table, rows: pa.Table) -> None:
        columns = ", ".join(f"{field.name} {_TYPES[field.type]}" for field in rows.schema)
        with self._warehouse.transaction() as connection:
            connection.execute(text(f"drop table if exists {table}"))
            connection.execute(text(f"create table {table} ({columns})"))
            append(connection, table, rows)


def postgres_stores(url: str) -> Iterator[PostgresStores]:
    warehouse = Warehouse(url)
    yield PostgresStores(warehouse)
    warehouse.close()
