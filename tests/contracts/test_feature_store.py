"""The contract of the FeatureStore port, held against the fake and against PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noria.core.base.errors import NotEnoughDataError, QualityError, TransformError
from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.testing.builders import a_use_case
from tests.contracts.stores import Stores, memory_stores, postgres_stores
from tests.jobs.in_memory.parcels import day, feature_rows, label_rows

AS_OF = datetime(2024, 5, 9, tzinfo=UTC)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        yield memory_stores()
        return
    yield from postgres_stores(request.getfixturevalue("warehouse_url"))


@pytest.fixture
def use_case(tmp_path) -> UseCase:
    return a_use_case(tmp_path, training={"min_labels": 10})


def test_read_features_is_ordered_typed_and_of_the_interval_alone(stores, use_case):
    rows = pa.concat_tables([feature_rows([1.0], 2), feature_rows([20.0], 1), feature_rows([9.0, None])])
    stores.put_features(use_case, rows)
    found = stores.features.read_features(use_case, Interval(day(0).start, day(1).end))
    assert found.column_names == ["parcel_id", "promised_at", "weight", "hour", "depot"]
    assert found["hour"].to_pylist() == [9.0, None, 20.0]
    assert found["promised_at"][0].as_py() == day(0).start
    assert (found["hour"].type, found["depot"].type) == (pa.float64(), pa.string())


def test_read_before_dbt_built_the_tables_is_an_error(stores, use_case, tmp_path):
    missing = "does not exist: run the transform step"
    with pytest.raises(TransformError, match=missing):
        stores.features.read_features(use_case, day(0))
    with pytest.raises(TransformError, match=missing):
        stores.features.read_labels(use_case, day(0), AS_OF)
    with pytest.raises(TransformError, match=missing):
        stores.features.take_snapshot(use_case, AS_OF, tmp_path)


def test_read_features_without_a_column_of_the_use_case_is_an_error(stores, use_case):
    stores.put_features(use_case, feature_rows([9.0]).drop_columns(["weight"]))
    with pytest.raises(TransformError, match="has no column weight"):
        stores.features.read_features(use_case, day(0))


def test_read_labels_gives_those_that_had_arrived(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True, None, False]))
    found = stores.features.read_labels(use_case, day(0), AS_OF)
    assert found.column_names == ["parcel_id", "promised_at", "label"]
    assert found["label"].to_pylist() == [True, False]
    assert found["label"].type == pa.bool_()


@pytest.mark.parametrize(
    ("wait", "as_of", "rows"),
    [
        (timedelta(hours=20), day(0).start + timedelta(hours=21), 0),  # the use case says a day
        (timedelta(hours=20), day(0).start + timedelta(days=1), 1),
        (timedelta(hours=30), day(0).start + timedelta(hours=29), 0),  # the row says 30 hours
        (timedelta(hours=30), day(0).start + timedelta(hours=30), 1),
    ],
)
def test_read_labels_waits_for_the_use_case_and_for_the_row(stores, use_case, wait, as_of, rows):
    stores.put_labels(use_case, label_rows(use_case, [True], wait=wait))
    assert len(stores.features.read_labels(use_case, day(0), as_of)) == rows


@pytest.mark.parametrize(
    ("task", "labels"), [("multiclass", ["late", "on_time"]), ("regression", [30.0, -2.5])], ids=["classes", "numbers"]
)
def test_read_labels_has_the_type_of_the_task(stores, tmp_path, task, labels):
    use_case = a_use_case(tmp_path, task=task)
    stores.put_labels(use_case, label_rows(use_case, labels))
    assert stores.features.read_labels(use_case, day(0), AS_OF)["label"].to_pylist() == labels


def test_read_labels_of_an_unknown_class_is_an_error(stores, tmp_path):
    use_case = a_use_case(tmp_path, task="multiclass")
    stores.put_labels(use_case, label_rows(use_case, ["vanished"]))
    with pytest.raises(TransformError, match="'vanished', which label"):
        stores.features.read_labels(use_case, day(0), AS_OF)


def test_take_snapshot_freezes_labelled_rows_in_order_and_twice_gives_one_file(stores, use_case, tmp_path):
    stores.put_features(use_case, pa.concat_tables([feature_rows([20.0] * 6, 1), feature_rows([9.0] * 6)]))
    labels = [label_rows(use_case, [True, None] * 3, 1), label_rows(use_case, [False] * 6)]
    stores.put_labels(use_case, pa.concat_tables(labels))
    lower = use_case.model_copy(update={"training": use_case.training.model_copy(update={"min_labels": 9})})
    first, again = (stores.features.take_snapshot(lower, AS_OF, tmp_path / "snapshots") for _ in range(2))
    assert first == again
    assert (first.rows, first.positives, first.as_of) == (9, 3, AS_OF.isoformat())
    rows = pq.read_table(first.path)
    assert rows.column_names == ["parcel_id", "promised_at", "weight", "hour", "depot", "label", "label_known_at"]
    assert rows["hour"].to_pylist() == [9.0] * 6 + [20.0] * 3
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [f"{first.digest}.parquet"]


def test_take_snapshot_with_too_few_labels_is_an_error(stores, use_case, tmp_path):
    stores.put_features(use_case, feature_rows([9.0] * 20))
    stores.put_labels(use_case, label_rows(use_case, [True] * 9))
    with pytest.raises(NotEnoughDataError, match=r"9 labelled rows as of 2024-05-09, training\.min_labels asks for 10"):
        stores.features.take_snapshot(use_case, AS_OF, tmp_path)


def test_take_snapshot_leaves_out_what_is_in_quarantine(stores, use_case, tmp_path):
    rows = [feature_rows([9.0] * 10, number) for number in (0, 1)]
    stores.put_features(use_case, pa.concat_tables(rows))
    stores.put_labels(use_case, pa.concat_tables([label_rows(use_case, [True] * 10, number) for number in (0, 1)]))
    stores.features.quarantine(use_case, day(0))
    assert stores.features.take_snapshot(use_case, AS_OF, tmp_path).rows == 10
    stores.features.release(use_case, day(0))
    assert stores.features.take_snapshot(use_case, AS_OF, tmp_path).rows == 20


def test_quarantine_refuses_every_interval_that_it_touches_until_all_of_it_is_released(stores, use_case):
    longer = Interval(day(1).start, day(2).end)
    for _ in range(2):
        stores.features.quarantine(use_case, longer)
    stores.features.release(use_case, day(1))
    stores.features.refuse_quarantined(use_case, day(0))
    for number in (1, 2):
        with pytest.raises(QualityError, match="have not passed their checks"):
            stores.features.refuse_quarantined(use_case, day(number))
    stores.features.release(use_case, Interval(day(0).start, day(3).end))
    stores.features.refuse_quarantined(use_case, longer)
