"""Training sets that are made up, yet shaped like real ones: a signal, missing values, rare categories, drift in time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.base.results import SnapshotRef
from noria.core.use_case import Task, UseCase

START = datetime(2024, 1, 1, tzinfo=UTC)
OUTCOMES = ("on_time", "late", "lost")
"""Classes of `outcome`, the most frequent first."""
LABELS = {Task.BINARY_CLASSIFICATION: "late", Task.MULTICLASS: "outcome", Task.REGRESSION: "delay"}
"""The made-up column that is the label of each task."""


def made_up_columns(rows: int, seed: int = 0, days: int = 120) -> dict[str, Any]:
    """Parcels, in order of time: `weight`, `hour`, `depot`, `street` (many values), and `promised_at`.

    Three labels: `late` (yes or no), `outcome` (one of `OUTCOMES`) and `delay` (minutes, skewed, below zero when early).
    """
    random = np.random.default_rng(seed)
    minutes = np.sort(random.integers(0, days * 24 * 60, rows))
    depots = random.choice(["north", "south", "harbour"], rows, p=[0.5, 0.3, 0.2])
    streets = random.zipf(1.3, rows) % 400
    weight, hour = random.gamma(2.0, 5.0, rows), (minutes // 60) % 24
    odds = -2.2 + 0.08 * weight + 0.9 * (hour >= 16) * (depots == "harbour") + 0.8 * (depots == "south")
    odds = odds + random.normal(0, 0.6, 400)[streets]
    late = random.random(rows) < 1 / (1 + np.exp(-odds))
    outcome, delay = _more_labels(odds, late, seed)
    weight = np.where(random.random(rows) < 0.05, np.nan, weight)
    return {
        "promised_at": [START + timedelta(minutes=int(minute)) for minute in minutes],
        "weight": weight,
        "hour": hour.astype(np.float64),
        "depot": [None if random.random() < 0.02 else str(depot) for depot in depots],
        "street": [f"street {street}" for street in streets],
        "late": late,
        "outcome": outcome,
        "delay": delay,
    }


def _more_labels(odds: Any, late: Any, seed: int) -> tuple[list[str], Any]:
    """Outcomes and delays that agree with `late`; drawn apart, so that the other columns are what they always were."""
    random = np.random.default_rng([seed, 1])
    lost = random.random(len(late)) < 0.04 / (1 + np.exp(-(odds + 2)))
    outcome = [OUTCOMES[2] if gone else OUTCOMES[int(slow)] for gone, slow in zip(lost, late, strict=True)]
    delay = 30 + 12 * odds + random.gamma(2.0, 5.0, len(late)) + 20 * late
    return outcome, delay


def write_snapshot(folder: Path, use_case: UseCase, columns: dict[str, Any], as_of: datetime) -> SnapshotRef:
    """Freeze made-up columns the way the snapshot step does; the label is the column that `LABELS` names for the task."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    label = columns[LABELS[use_case.task]]
    names = [use_case.event_time, *use_case.features.names]
    table = pa.table({use_case.entity: [f"P{row}" for row in range(len(label))]})
    for name in names:
        table = table.append_column(name, pa.array(columns[name], from_pandas=True))
    table = table.append_column("label", pa.array(label))
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft.parquet"
    pq.write_table(table, draft)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    path = draft.rename(folder / f"{digest}.parquet")
    positives = int(np.sum(label)) if use_case.task.is_binary else 0
    return SnapshotRef(digest=digest, path=str(path), as_of=as_of.isoformat(), rows=table.num_rows, positives=positives)
