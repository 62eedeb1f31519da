"""The contracts of the ports of predictions, held against the fakes and against PostgreSQL."""

import json
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from noria.core.base.errors import TransformError
from noria.testing.builders import a_use_case
from noria.testing.fakes.prediction_store import ServedRow
from tests.contracts.stores import REFUSED, Stores, memory_stores, postgres_stores
from tests.jobs.in_memory.parcels import MOMENT, day, feature_rows, label_rows

LATER = day(9).end


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        yield memory_stores()
        return
    yield from postgres_stores(request.getfixturevalue("warehouse_url"))


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path)


def replace(stores, use_case, scores, *, version="1", number=0):
    rows = feature_rows([9.0] * len(scores), number)
    return stores.predictions.replace(use_case, day(number), version, rows, np.array(scores), np.array(scores) >= 0.5)


def test_replace_keeps_version_score_and_decision_of_every_row(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True]))
    result = replace(stores, use_case, [0.25, 0.75])
    assert (result.version, result.rows) == ("1", 2)
    found = stores.predictions.read(use_case, day(0), LATER)
    assert found.column_names == ["parcel_id", "promised_at", "version", "score", "decision", "probabilities", "label"]
    assert found["score"].to_pylist() == [0.25, 0.75]
    assert found["decision"].to_pylist() == ["false", "true"]
    assert found["probabilities"].null_count == 2
    assert found["label"].to_pylist() == [True, None]


def test_replace_again_replaces_the_interval_and_keeps_others(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True]))
    first = replace(stores, use_case, [0.25, 0.75])
    replace(stores, use_case, [0.5], number=1)
    assert replace(stores, use_case, [0.25, 0.75]) == first
    replace(stores, use_case, [0.9], version="2")
    assert stores.predictions.read(use_case, day(0), LATER)["version"].to_pylist() == ["2"]
    assert stores.predictions.read(use_case, day(1), LATER)["score"].to_pylist() == [0.5]


def test_replace_of_classes_keeps_every_probability(stores, tmp_path):
    use_case = a_use_case(tmp_path, task="multiclass")
    stores.put_labels(use_case, label_rows(use_case, ["lost"]))
    scores = np.array([[0.2, 0.7, 0.1]])
    stores.predictions.replace(use_case, day(0), "1", feature_rows([9.0]), scores, np.array([1]))
    (row,) = stores.predictions.read(use_case, day(0), LATER).to_pylist()
    assert (row["score"], row["decision"], row["label"]) == (0.7, "late", "lost")
    assert json.loads(row["probabilities"]) == {"on_time": 0.2, "late": 0.7, "lost": 0.1}


def test_replace_of_shapes_that_do_not_fit_is_an_error(stores, use_case):
    with pytest.raises(ValueError, match="do not fit 2 rows"):
        stores.predictions.replace(use_case, day(0), "1", feature_rows([9.0] * 2), np.zeros(3), np.zeros(3, dtype=bool))


@pytest.mark.parametrize("entity", ["P0-0000", None])
def test_replace_with_an_entity_twice_or_none_is_refused_and_keeps_what_was_there(stores, use_case, entity):
    stores.put_labels(use_case, label_rows(use_case, [True]))
    replace(stores, use_case, [0.25])
    rows = feature_rows([9.0] * 2)
    rows = rows.set_column(rows.column_names.index("parcel_id"), "parcel_id", pa.array(["P0-0000", entity], pa.string()))
    with pytest.raises(REFUSED):
        stores.predictions.replace(use_case, day(0), "2", rows, np.zeros(2), np.zeros(2, dtype=bool))
    assert stores.predictions.read(use_case, day(0), LATER)["version"].to_pylist() == ["1"]


def test_replace_again_of_rows_outside_the_interval_is_refused(stores, use_case):
    rows = feature_rows([9.0], 1)
    stores.predictions.replace(use_case, day(0), "1", rows, np.zeros(1), np.zeros(1, dtype=bool))
    with pytest.raises(REFUSED):
        stores.predictions.replace(use_case, day(0), "1", rows, np.zeros(1), np.zeros(1, dtype=bool))


def test_read_leaves_out_labels_that_had_not_arrived(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True]))
    replace(stores, use_case, [0.25])
    assert stores.predictions.read(use_case, day(0), day(0).start)["label"].to_pylist() == [None]


def test_read_fills_missing_labels_from_feedback(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True, None]))
    replace(stores, use_case, [0.25, 0.75, 0.5])
    keys = feature_rows([9.0] * 3).select(["parcel_id", "promised_at"])
    stores.put_feedback(use_case, keys.slice(0, 2).append_column("label", pa.array(["false", "true"])))
    assert stores.predictions.read(use_case, day(0), LATER)["label"].to_pylist() == [True, True, None]


def test_read_before_labels_were_built_is_an_error(stores, use_case):
    with pytest.raises(TransformError, match="does not exist"):
        stores.predictions.read(use_case, day(0), LATER)


def test_read_of_an_interval_that_was_not_scored_has_no_rows(stores, use_case):
    stores.put_labels(use_case, label_rows(use_case, [True]))
    assert len(stores.predictions.read(use_case, day(0), LATER)) == 0


def served(stores, use_case):
    """Three requests a minute apart: champion, challenger, another version; the last has no entity."""
    at = [day(0).start + timedelta(minutes=minute) for minute in range(3)]
    rows = [
        ServedRow("2", at[1], "P0-0001", 0.75, "true", {"depot": "south"}, shadow=True),
        ServedRow("1", at[0], "P0-0000", 0.25, "false", {"depot": "north"}),
        ServedRow("3", at[2], None, 0.5, "true", {}),
    ]
    stores.serve(use_case, rows)
    return at


def test_rows_since_are_in_the_order_of_requests_with_their_segments(stores, use_case):
    at = served(stores, use_case)
    found = stores.served.rows_since(use_case, ("1", "2"), at[0], LATER)
    names = ["version", "requested_at", "entity", "score", "decision", "answered", "stands_for", "depot", "label"]
    assert found.column_names == [*names, "label_known_at"]
    assert found["answered"].to_pylist() == [True, False]
    assert found["stands_for"].to_pylist() == [1, 1]
    assert found["version"].to_pylist() == ["1", "2"]
    assert found["depot"].to_pylist() == ["north", "south"]
    assert found["requested_at"].type == MOMENT
    assert found["label"].null_count == 2
    assert stores.served.rows_since(use_case, ("1", "2"), at[1], LATER)["version"].to_pylist() == ["2"]


def test_rows_since_have_the_labels_that_had_arrived(stores, use_case):
    at = served(stores, use_case)
    stores.put_labels(use_case, label_rows(use_case, [True, False]))
    found = stores.served.rows_since(use_case, ("1", "2"), at[0], LATER)
    assert found["label"].to_pylist() == [True, False]
    assert found["label_known_at"].type == MOMENT
    assert found["label_known_at"].null_count == 0
    assert stores.served.rows_since(use_case, ("1", "2"), at[0], at[2])["label"].null_count == 2


def test_rows_since_without_an_entity_have_no_label(stores, use_case):
    at = served(stores, use_case)
    stores.put_labels(use_case, label_rows(use_case, [True, False]))
    (row,) = stores.served.rows_since(use_case, ("1", "3"), at[1], LATER).to_pylist()
    assert (row["entity"], row["label"], row["depot"]) == (None, None, None)


def test_count_since_and_any_since_begin_at_the_instant(stores, use_case):
    at = served(stores, use_case)
    assert [stores.served.count_since(use_case, version, at[1]) for version in "123"] == [0, 1, 1]
    assert stores.served.any_since(use_case, at[2])
    assert not stores.served.any_since(use_case, at[2] + timedelta(seconds=1))
