from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from noria.core.base.errors import NotEnoughDataError
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.data.tables.features import read_features
from noria.data.tables.predictions import read_batch_predictions, replace_batch_predictions
from noria.data.tables.snapshots import take_snapshot
from tests.data.slice import SECOND, THIRD


def test_a_snapshot_has_only_labels_that_had_arrived(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    as_of = datetime(2013, 1, 12, 6, tzinfo=UTC)
    snapshot = take_snapshot(built, use_case, as_of, tmp_path)
    rows = pq.read_table(snapshot.path)
    assert rows.column_names == ["flight_id", "scheduled_departure", *use_case.features.names, "label", "label_known_at"]
    assert len(rows) == snapshot.rows > use_case.training.min_labels
    assert max(rows["scheduled_departure"].to_pylist()) <= as_of - use_case.label.available_after
    assert 0 < snapshot.positives == sum(rows["label"].to_pylist()) < snapshot.rows
    assert Path(snapshot.path).name == f"{snapshot.digest}.parquet"


def test_the_same_data_gives_the_same_bytes(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    as_of = datetime(2013, 1, 13, tzinfo=UTC)
    assert take_snapshot(built, use_case, as_of, tmp_path) == take_snapshot(built, use_case, as_of, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"], "no draft is left"
    assert take_snapshot(built, use_case, as_of + timedelta(days=1), tmp_path).digest not in {
        take_snapshot(built, use_case, as_of, tmp_path).digest
    }


def test_too_few_labels_say_what_to_do(built: Warehouse, use_case: UseCase, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match=r"0 labelled rows as of 2013-01-05, training\.min_labels asks for 1000"):
        take_snapshot(built, use_case, datetime(2013, 1, 5, tzinfo=UTC), tmp_path)
    assert not list(tmp_path.iterdir())


def test_batch_predictions_are_replaced_with_their_interval(built: Warehouse, use_case: UseCase) -> None:
    def score(version: str) -> str:
        rows = read_features(built, use_case, SECOND)
        scores = np.linspace(0, 1, len(rows))
        return replace_batch_predictions(built, use_case, SECOND, version, rows, scores, scores >= 0.5).digest

    third = read_features(built, use_case, THIRD)
    never = np.zeros(len(third), np.bool_)
    replace_batch_predictions(built, use_case, THIRD, "1", third, np.full(len(third), 0.25), never)
    assert score("1") == score("2")
    found = read_batch_predictions(built, use_case, SECOND, SECOND.end + timedelta(days=2))
    assert set(found["version"].to_pylist()) == {"2"}
    assert found["decision"].to_pylist() == ["true" if score >= 0.5 else "false" for score in found["score"].to_pylist()]
    assert set(found["label"].to_pylist()) == {True, False, None}
    early = read_batch_predictions(built, use_case, SECOND, SECOND.start)
    assert set(early["label"].to_pylist()) == {None}, "no label had arrived"
    assert len(early) == len(found) == len(read_features(built, use_case, SECOND))
    assert set(read_batch_predictions(built, use_case, THIRD, THIRD.end)["version"].to_pylist()) == {"1"}
