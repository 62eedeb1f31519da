"""Parcels as dbt would make them: features and labels of a use case, in Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from noria.core.base.interval import Interval
from noria.core.use_case import Task, UseCase

FIRST = datetime(2024, 5, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", "UTC")
_LABELS = {Task.BINARY_CLASSIFICATION: pa.bool_(), Task.MULTICLASS: pa.string(), Task.REGRESSION: pa.float64()}


def day(number: int) -> Interval:
    """The n-th day."""
    return Interval(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def feature_rows(hours: Sequence[float | None], day_number: int = 0) -> pa.Table:
    """One parcel a minute, of one day, with these hours."""
    return pa.table(
        {
            "parcel_id": [f"P{day_number}-{row:04d}" for row in range(len(hours))],
            "promised_at": pa.array(_times(len(hours), day_number), MOMENT),
            "weight": pa.array([1.5] * len(hours), pa.float64()),
            "hour": pa.array(hours, pa.float64()),
            "depot": ["north", "south"] * (len(hours) // 2) + ["north"] * (len(hours) % 2),
        }
    )


def label_rows(
    use_case: UseCase, labels: Sequence[Any], day_number: int = 0, wait: timedelta = timedelta(hours=20)
) -> pa.Table:
    """Labels of the same parcels, known so long after their event time."""
    times = _times(len(labels), day_number)
    return pa.table(
        {
            "parcel_id": [f"P{day_number}-{row:04d}" for row in range(len(labels))],
            "promised_at": pa.array(times, MOMENT),
            use_case.label.column: pa.array(labels, _LABELS[use_case.task]),
            "label_known_at": pa.array([at + wait for at in times], MOMENT),
        }
    )


def _times(count: int, day_number: int) -> list[datetime]:
    return [day(day_number).start + timedelta(minutes=row) for row in range(count)]
