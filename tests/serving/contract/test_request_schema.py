"""The fast way to read a body says what the slow way says: the same instances, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noria.core.base.errors import InstanceError
from noria.core.use_case import InputPolicy
from noria.inference.predictor import baseline_predictor
from noria.testing.builders import a_use_case
from serving.contract.errors import RequestError
from serving.models.served_model import Origin, ServedModel
from serving.predict.instances import check_rows, read_body
from serving.predict.prediction import RequestContext, predict

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Version 0 of parcels: weight (0 to 70), hour (required), depot."""
    return a_model(tmp_path_factory.mktemp("use_cases"))


def a_model(folder: Path, **changes: Any) -> ServedModel:
    use_case = a_use_case(folder, **changes)
    return ServedModel(use_case, baseline_predictor(use_case), "0", "", NOW, Origin.RULE)


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["north", "a\0b", 1e39, 10**400, -0.0])
)
rows = st.dictionaries(st.sampled_from(["weight", "hour", "depot", "parcel_id", "wieght"]), values)
bodies = st.one_of(
    st.lists(rows, max_size=3).map(lambda some: {"instances": some}),
    st.lists(st.one_of(st.text(), st.integers(), st.booleans(), st.none()), max_size=3).map(lambda some: {"entities": some}),
    st.just({"instances": [], "entities": []}),
    st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
)


@given(body=bodies)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_read_fast_and_slow_way_agree(model: ServedModel, body: Any) -> None:
    content = json.dumps(body).encode()
    fast = model.request_schema.read(content)
    try:
        slow = read_body(content, model)
    except (RequestError, InstanceError):
        assert fast is None
        return
    assert fast is None or fast == slow


@given(body=st.lists(rows, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_rows_of_other_protocols_are_read_alike(model: ServedModel, body: list[dict[str, Any]]) -> None:
    fast = model.request_schema.accept(body)
    try:
        slow = check_rows(body, model)
    except InstanceError:
        assert fast is None
        return
    assert fast is None or fast == slow


def test_plain_rows_take_the_fast_way(model: ServedModel) -> None:
    assert model.request_schema.accept([{"hour": 19, "depot": "north"}]) == [
        (None, {"weight": None, "hour": 19.0, "depot": "north"})
    ]


def test_a_plain_request_takes_the_fast_way(model: ServedModel) -> None:
    fast = model.request_schema.read(b'{"instances": [{"hour": 19, "weight": null, "parcel_id": 7}]}')
    assert fast is not None
    assert fast.instances == [("7", {"weight": None, "hour": 19.0, "depot": None})]
    assert model.request_schema.read(b'{"entities": ["a", 7]}') == ([], ["a", "7"])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"hour": 3, "weight": 71}, ("weight", 71.0, "0 to 70")),
        ({"hour": 3, "weight": 5}, None),
        ({"hour": 3}, None),
    ],
)
def test_a_warning_comes_with_the_answer(model: ServedModel, row: dict[str, Any], expected: Any) -> None:
    wanted = read_body(json.dumps({"instances": [row]}).encode(), model)
    (prediction,) = predict(model, wanted.instances, RequestContext("r", "", NOW)).predictions
    if expected is None:
        assert not prediction.warnings
    else:
        (warning,) = prediction.warnings  # type: ignore[misc]
        assert (warning.field, warning.found, warning.expected) == expected


def test_find_values_unseen_in_training_follows_the_policy(tmp_path: Path) -> None:
    strict = a_model(tmp_path, serving={"out_of_range": "refuse", "missing": "refuse"})
    assert strict.use_case.serving.missing is InputPolicy.REFUSE
    rows = [{"hour": 3, "weight": 99, "depot": "north"}, {"hour": 3, "depot": None}]
    wanted = read_body(json.dumps({"instances": rows}).encode(), strict)
    with pytest.raises(InstanceError) as caught:
        predict(strict, wanted.instances, RequestContext("r", "", NOW))
    assert [problem.where for problem in caught.value.problems] == [
        "instances[0].weight",
        "instances[1].weight",
        "instances[1].depot",
    ]


def test_max_batch_limits_instances_of_a_request(tmp_path: Path) -> None:
    few = a_model(tmp_path, serving={"max_batch": 2})
    three = json.dumps({"instances": [{"hour": 1}] * 3}).encode()
    assert few.request_schema.read(three) is None
    with pytest.raises(RequestError, match="at most 2"):
        read_body(three, few)
