from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.core.errors import NotEnoughDataError
from noria.core.results import SnapshotRef
from noria.testing.snapshots import made_up_columns, write_snapshot
from noria.training.dataset import TrainingSet, last_slice, read_snapshot
from tests.training.conftest import AS_OF, parcels

DAY = timedelta(days=1)


def test_rows_come_in_order_of_time_with_their_own_labels(use_case, tmp_path):
    columns = made_up_columns(1000)
    order = np.random.default_rng(1).permutation(1000)
    shuffled = {k: v[order] if isinstance(v, np.ndarray) else [v[i] for i in order] for k, v in columns.items()}
    rows = read_snapshot(use_case, write_snapshot(tmp_path, use_case, shuffled, AS_OF))
    assert len(rows) == 1000
    assert (np.diff(rows.times) >= 0).all()
    pairs = sorted(zip(columns["promised_at"], np.nan_to_num(columns["weight"], nan=-1), columns["late"], strict=True))
    found = zip(rows.times / 1e6, np.nan_to_num(rows.columns["weight"], nan=-1), rows.labels, strict=True)
    assert sorted(found) == [(when.timestamp(), weight, late) for when, weight, late in pairs]


def test_a_missing_value_is_none_in_a_row(rows):
    at = int(np.flatnonzero(np.isnan(rows.columns["weight"]))[0])
    assert rows.row(at)["weight"] is None
    assert set(rows.row(at)) == {"weight", "hour", "depot", "street"}


def test_the_gap_keeps_out_labels_that_were_not_known_yet(rows):
    fold = last_slice(rows, 20 * DAY, 3 * DAY)
    end = datetime.fromtimestamp(rows.times[-1] / 1e6, UTC)
    assert fold.window.start == pytest.approx(end - 20 * DAY, abs=timedelta(seconds=1))
    assert datetime.fromtimestamp(fold.validation.times[0] / 1e6, UTC) >= fold.window.start
    assert datetime.fromtimestamp(fold.training.times[-1] / 1e6, UTC) < fold.window.start - 3 * DAY
    held_out = len(rows) - len(fold.training) - len(fold.validation)
    in_gap = (rows.times >= fold.training.times[-1] + 1) & (rows.times < fold.validation.times[0])
    assert held_out == int(in_gap.sum()) > 0


def test_a_slice_never_takes_more_than_a_quarter_of_the_time(rows):
    fold = last_slice(rows, 365 * DAY, DAY)
    assert fold.window.days == pytest.approx(30, abs=0.1)


def test_too_few_rows_of_a_class_say_what_to_do(rows):
    only_negatives = rows.take(np.flatnonzero(~rows.labels))
    with pytest.raises(NotEnoughDataError, match=r"0 of them positive.*training\.test_window"):
        last_slice(only_negatives, 20 * DAY, DAY)
    with pytest.raises(NotEnoughDataError, match="empty"):
        last_slice(TrainingSet({}, np.array([], dtype=bool), np.array([], dtype=np.int64)), DAY, DAY)


def test_a_snapshot_that_is_gone_or_of_another_shape_is_named(use_case, snapshot, tmp_path):
    gone = SnapshotRef(digest="0", path=str(tmp_path / "gone.parquet"), as_of="2024-05-01", rows=1, positives=1)
    with pytest.raises(NotEnoughDataError, match="is gone: run the snapshot step again"):
        read_snapshot(use_case, gone)
    wider = parcels(tmp_path, features={"model": "ftr_parcels", "numeric": ["hour", "rain"], "categorical": ["depot"]})
    with pytest.raises(NotEnoughDataError, match="lacks rain"):
        read_snapshot(wider, snapshot)
