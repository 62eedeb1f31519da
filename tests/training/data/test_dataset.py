import numpy as np
import pytest

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.results import SnapshotRef
from noria.core.use_case import Task
from noria.testing.snapshots import made_up_columns, write_snapshot
from noria.training.data.columns import Categories
from noria.training.data.dataset import read_snapshot, snapshot_schema
from tests.training.conftest import AS_OF, parcels, parcels_of


def test_rows_come_in_order_of_time_with_their_own_labels(use_case, tmp_path):
    columns = made_up_columns(1000)
    order = np.random.default_rng(1).permutation(1000)
    shuffled = {k: v[order] if isinstance(v, np.ndarray) else [v[i] for i in order] for k, v in columns.items()}
    rows = read_snapshot(snapshot_schema(use_case), write_snapshot(tmp_path, use_case, shuffled, AS_OF))
    assert len(rows) == 1000
    assert (np.diff(rows.times) >= 0).all()
    pairs = sorted(zip(columns["promised_at"], np.nan_to_num(columns["weight"], nan=-1), columns["late"], strict=True))
    found = zip(rows.times / 1e6, np.nan_to_num(rows.columns["weight"], nan=-1), rows.labels, strict=True)
    assert sorted(found) == [(when.timestamp(), weight, late) for when, weight, late in pairs]


def test_a_missing_value_is_none_in_a_row(rows):
    at = int(np.flatnonzero(np.isnan(rows.columns["weight"]))[0])
    assert rows.row(at)["weight"] is None
    assert set(rows.row(at)) == {"weight", "hour", "depot", "street"}


def test_labels_have_the_type_of_the_task(case, tmp_path):
    use_case, snapshot = case
    columns, rows = made_up_columns(3000), read_snapshot(snapshot_schema(use_case), snapshot)
    if use_case.task is Task.MULTICLASS:
        assert [use_case.label.classes[index] for index in rows.labels] == columns["outcome"]
        assert rows.labels.dtype == np.int64
    else:
        expected = columns["late"] if use_case.task is Task.BINARY_CLASSIFICATION else columns["delay"]
        np.testing.assert_array_equal(rows.labels, expected)
        assert rows.labels.dtype == (bool if use_case.task is Task.BINARY_CLASSIFICATION else np.float64)


def test_a_label_that_is_no_class_is_named(tmp_path):
    use_case = parcels_of(Task.MULTICLASS, tmp_path)
    columns = made_up_columns(200)
    columns["outcome"][17] = "eaten"
    with pytest.raises(NotEnoughDataError, match=r"'eaten' is no class of label\.classes \(on_time, late, lost\)"):
        read_snapshot(snapshot_schema(use_case), write_snapshot(tmp_path, use_case, columns, AS_OF))


def test_a_column_of_texts_reads_as_the_texts_it_was_made_of():
    texts = ["b", None, "a", "b", "c", None]
    column = Categories.of(texts)
    assert list(column) == column.tolist() == column.objects.tolist() == texts
    assert [column[row] for row in range(len(column))] == texts
    assert list(column[1:3]) == [None, "a"]
    assert list(column.take(np.array([4, 1]))) == ["c", None]
    assert dict(zip([*column.names, None], column.counts().tolist(), strict=True)) == {"b": 2, "a": 1, "c": 1, None: 2}
    assert list(Categories.of([])) == []


def test_a_snapshot_that_is_gone_or_of_another_shape_is_named(use_case, snapshot, tmp_path):
    gone = SnapshotRef(digest="0", path=str(tmp_path / "gone.parquet"), as_of="2024-05-01", rows=1, positives=1)
    with pytest.raises(NotEnoughDataError, match="is gone: run the snapshot step again"):
        read_snapshot(snapshot_schema(use_case), gone)
    wider = parcels(tmp_path, features={"model": "ftr_parcels", "numeric": ["hour", "rain"], "categorical": ["depot"]})
    with pytest.raises(NotEnoughDataError, match="lacks rain"):
        read_snapshot(snapshot_schema(wider), snapshot)
