"""A use case and its dbt models must name the same columns; a difference is an error before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from noria.core.use_case import Task, UseCase
from noria.data.transform.dbt_contracts import DbtProject, check_models
from noria.testing.builders import a_use_case

Check = Callable[..., list[str]]


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    return a_use_case(tmp_path)


@pytest.fixture
def check(tmp_path: Path, use_case: UseCase) -> Check:
    """Problems of a project whose models have these columns; None leaves a model out."""

    def run(features: dict[str, str] | None, labels: dict[str, str] | None, contracts: bool = True) -> list[str]:
        project = tmp_path / "dbt_project"
        for layer, model, columns in (
            ("features", use_case.features.model, features),
            ("labels", use_case.label.model, labels),
        ):
            if columns is None:
                continue
            folder = project / "models" / layer
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{model}.sql").write_text("select 1")
            lines = [f"    - {{name: {name}, data_type: {kind}}}" for name, kind in columns.items()]
            text = "\n".join(["models:", f"- name: {model}", "  columns:", *lines])
            (folder / f"{model}.yml").write_text(text if contracts else "models: []")
        return [str(problem) for problem in check_models(use_case, DbtProject(project))]

    return run


def columns_of(use_case: UseCase) -> tuple[dict[str, str], dict[str, str]]:
    keys = {use_case.entity: "text", use_case.event_time: "timestamp with time zone"}
    features = keys | dict.fromkeys(use_case.features.names, "double precision")
    labels = keys | {use_case.label.column: "boolean", "label_known_at": "timestamptz"}
    return features, labels


def test_models_that_have_every_column_are_well(check: Check, use_case: UseCase) -> None:
    assert check(*columns_of(use_case)) == []


def test_a_model_that_is_not_there_is_named_with_its_place(check: Check, use_case: UseCase) -> None:
    features, _ = columns_of(use_case)
    (problem,) = check(features, None)
    model = use_case.label.model
    assert problem == (
        f"use_cases/{use_case.name}/use_case.yaml: label.model: there is no dbt model {model!r}; "
        f"add dbt_project/models/labels/{use_case.name}/{model}.sql"
    )


def test_model_without_a_contract_is_an_error(check: Check, use_case: UseCase) -> None:
    problems = check(*columns_of(use_case), contracts=False)
    assert len(problems) == 2
    assert f"no .yml states the columns of {use_case.features.model!r}" in problems[0]


def test_a_column_that_is_not_there_is_named_by_the_field_that_asks_for_it(check: Check, use_case: UseCase) -> None:
    features, labels = columns_of(use_case)
    first = next(iter(use_case.features.numeric))
    features[f"{first}s"] = features.pop(first)
    del labels["label_known_at"]
    numeric, known = check(features, labels)
    assert f"features.numeric.{first}: dbt model" in numeric
    assert f"did you mean {first}s?" in numeric
    assert "has no column 'label_known_at'" in known


def test_feature_described_in_the_yml_too_is_an_error(check: Check, use_case: UseCase) -> None:
    features, labels = columns_of(use_case)
    name = use_case.features.names[0]
    features[name] = 'double precision, description: "Written twice."'
    (problem,) = check(features, labels)
    assert (
        f".{name}: the .yml of dbt model {use_case.features.model} describes it too; describe a feature here alone"
        in problem
    )


def test_an_event_time_without_a_zone_is_refused(check: Check, use_case: UseCase) -> None:
    features, labels = columns_of(use_case)
    features[use_case.event_time] = "timestamp"
    (problem,) = check(features, labels)
    assert "event_time: timestamp in dbt model" in problem


@pytest.mark.parametrize(
    ("task", "kind", "expected"),
    [
        (
            Task.MULTICLASS,
            "integer",
            "label.column: integer in dbt model lbl_parcels; expected text, since task is multiclass",
        ),
        (Task.REGRESSION, "text", "text in dbt model lbl_parcels; expected double precision, since task is regression"),
        (Task.REGRESSION, "", "no data_type in dbt model lbl_parcels"),
        (Task.REGRESSION, "numeric(10, 2)", None),
        (Task.MULTICLASS, "varchar(20)", None),
        (Task.BINARY_CLASSIFICATION, "text", None),
    ],
)
def test_a_label_must_be_of_its_task(tmp_path: Path, use_case: UseCase, task: Task, kind: str, expected: str | None) -> None:
    labels = tmp_path / "dbt_project/models/labels"
    labels.mkdir(parents=True)
    columns = {use_case.entity: "text", use_case.event_time: "timestamptz", "label_known_at": "timestamptz", "late": kind}
    content = {"models": [{"name": "lbl_parcels", "columns": [{"name": n, "data_type": k} for n, k in columns.items()]}]}
    (labels / "lbl_parcels.yml").write_text(yaml.safe_dump(content))
    (labels / "lbl_parcels.sql").write_text("select 1")
    found = check_models(use_case.model_copy(update={"task": task}), DbtProject(tmp_path / "dbt_project"))
    problems = [str(problem) for problem in found if "label" in problem.where]
    assert len(problems) == (expected is not None)
    assert expected is None or expected in problems[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"models: \xe9", "not text in UTF-8"),
        (b"models: []\nmodels: []", "'models' is written twice"),
        (b"models: {name: x}", "found something else than models"),
        (b"models: [{name: x, columns: [y]}]", "found something else than models"),
    ],
)
def test_a_contract_that_cannot_be_read_is_named(tmp_path: Path, use_case: UseCase, content: bytes, reason: str) -> None:
    folder = tmp_path / "dbt_project/models/features"
    folder.mkdir(parents=True)
    (folder / f"{use_case.features.model}.sql").write_text("select 1")
    (folder / "models.yml").write_bytes(content)
    project = DbtProject(tmp_path / "dbt_project")
    (problem,) = project.problems
    assert problem.where.startswith("dbt_project/models/features/models.yml")
    assert reason in problem.found
    assert f"mend {problem}" in next(check_models(use_case, project)).expected
