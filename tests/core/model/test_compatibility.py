"""What a change of signature breaks for apps."""

from __future__ import annotations

from pathlib import Path

import pytest

from noria.core.model.bundle import Manifest
from noria.core.model.compatibility import breaking_changes
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import Task, UseCase
from noria.testing.builders import a_use_case

WEIGHT = Field(name="weight", kind=Kind.NUMERIC)
HOUR = Field(name="hour", kind=Kind.NUMERIC, required=True)
DEPOT = Field(name="depot", kind=Kind.CATEGORICAL)


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    """Declares weight, hour (required) and depot."""
    return a_use_case(tmp_path)


def manifest(*fields: Field, **changes: object) -> Manifest:
    signature = Signature(fields=fields)
    return Manifest(use_case="parcels", kind="onnx", candidate="linear", signature=signature).model_copy(update=changes)


def test_the_same_signature_breaks_nothing(use_case: UseCase) -> None:
    one = manifest(WEIGHT, HOUR, DEPOT)
    assert breaking_changes(one, one, use_case) == ()


def test_a_field_less_is_accepted_while_the_use_case_declares_it(use_case: UseCase) -> None:
    assert breaking_changes(manifest(WEIGHT, HOUR, DEPOT), manifest(HOUR), use_case) == ()


def test_a_field_that_is_gone_altogether_is_named(use_case: UseCase) -> None:
    colour = Field(name="colour", kind=Kind.CATEGORICAL)
    (broken,) = breaking_changes(manifest(HOUR, colour), manifest(HOUR), use_case)
    assert broken.startswith("colour would be refused as unknown")


def test_another_kind_and_a_new_demand_are_both_named(use_case: UseCase) -> None:
    before = manifest(WEIGHT, HOUR, DEPOT)
    after = manifest(WEIGHT.model_copy(update={"required": True}), HOUR, DEPOT.model_copy(update={"kind": Kind.NUMERIC}))
    assert [change.split(" ")[0] for change in breaking_changes(before, after, use_case)] == ["depot", "weight"]


def test_a_decision_that_apps_do_not_know_breaks_them(use_case: UseCase) -> None:
    before = manifest(HOUR, task=Task.MULTICLASS, classes=("on_time", "late"))
    more, fewer = manifest(HOUR, task=Task.MULTICLASS, classes=("on_time", "late", "lost")), manifest(HOUR)
    assert breaking_changes(before, more, use_case) == ("the decision can also be lost, which apps do not know",)
    assert "another task" in breaking_changes(before, fewer, use_case)[0]
