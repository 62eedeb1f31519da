"""The shipped use case and its dbt models say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from noria.core.use_case import UseCase
from noria.io.catalog import load_use_case


@pytest.fixture
def use_case(project: Path) -> UseCase:
    return load_use_case(project / "use_cases/flight_delays/use_case.yaml")


def columns(project: Path, layer: str, model: str) -> dict[str, str]:
    content = yaml.safe_load((project / f"dbt_project/models/{layer}/flight_delays/{model}.yml").read_text())
    (found,) = content["models"]
    assert found["name"] == model
    return {column["name"]: column["data_type"] for column in found["columns"]}


def test_the_contract_of_the_features_is_what_the_use_case_lists(use_case: UseCase, project: Path) -> None:
    found = columns(project, "features", use_case.features.model)
    beside = {use_case.entity, use_case.event_time, "newest_fact_at"}
    assert set(found) == set(use_case.features.names) | beside
    assert {found[name] for name in use_case.features.numeric} == {"double precision"}
    assert {found[name] for name in use_case.features.categorical} == {"text"}


def test_the_label_is_what_the_use_case_names(use_case: UseCase, project: Path) -> None:
    found = columns(project, "labels", use_case.label.model)
    assert set(found) == {use_case.entity, use_case.event_time, use_case.label.column, "label_known_at"}


def test_every_feature_is_explained_to_those_who_send_it(use_case: UseCase) -> None:
    assert len(use_case.features.names) > 40
    assert all(feature.description for feature in use_case.features.categorical.values())
    for name, feature in use_case.features.numeric.items():
        assert feature.description, name
        assert feature.unit, name
        assert feature.range is not None, name


def test_what_identifies_a_plane_is_pseudonymised(use_case: UseCase) -> None:
    assert use_case.privacy["tailnum"] == "pseudonymise"
