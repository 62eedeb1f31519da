"""Checks a use case against the contracts of its dbt models, as their `.yml` files state them. Runs no dbt."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from noria.core.base.errors import Problem, UseCaseError
from noria.core.use_case import Task, UseCase
from noria.data.tables.features import LABEL_KNOWN_AT
from noria.io.catalog import FILE_NAME
from noria.io.yaml_file import read_yaml

_Columns = Mapping[str, Mapping[str, Any]]
_VERY_CLOSE = 0.85
"""Models of one use case are named alike: `lbl_churn` is no slip for `ftr_churn`."""
_INSTANT = ("timestamp with time zone", "timestamptz")
_LABELS: Mapping[Task, tuple[str, frozenset[str]]] = {
    Task.MULTICLASS: ("text", frozenset({"text", "varchar", "character varying"})),
    Task.REGRESSION: (
        "double precision",
        frozenset({"double precision", "float8", "real", "numeric", "decimal", "integer", "int", "bigint", "smallint"}),
    ),
}
"""What a label of the task is written as, and what else will do; a yes or no may be of any type."""


@dataclass(frozen=True)
class DbtProject:
    """The models of a dbt project, as their files state them."""

    folder: Path

    @cached_property
    def names(self) -> frozenset[str]:
        """Every model that has SQL."""
        return frozenset(path.stem for path in self.folder.glob("models/**/*.sql"))

    @cached_property
    def contracts(self) -> Mapping[str, Mapping[str, str]]:
        """Types of columns by model and column."""
        return {
            model: {name: str(column.get("data_type", "")) for name, column in columns.items()}
            for model, columns in self._read[0].items()
        }

    def described(self, model: str) -> frozenset[str]:
        """Columns of a model that its `.yml` describes."""
        return frozenset(name for name, column in self._read[0].get(model, {}).items() if column.get("description"))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with `.yml` files that cannot be read; their models have no contract here."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Mapping[str, _Columns], tuple[Problem, ...]]:
        """Columns by model and name, and what could not be read."""
        found: dict[str, _Columns] = {}
        problems: list[Problem] = []
        for path in sorted(self.folder.glob("models/**/*.y*ml")):
            where = path.relative_to(self.folder.parent).as_posix()
            try:
                found |= _models_in(read_yaml(path, where))
            except UseCaseError as error:
                problems += error.problems
            except (AttributeError, KeyError, TypeError):
                expected = "expected a list of {name, columns}, and columns a list of {name, data_type}"
                problems.append(Problem(f"{where}: models", "found something else than models", expected))
        return found, tuple(problems)


def _models_in(content: Any) -> dict[str, _Columns]:
    models = (content.get("models") or ()) if isinstance(content, dict) else ()
    return {model["name"]: {str(column["name"]): column for column in model.get("columns") or ()} for model in models}


def check_models(use_case: UseCase, project: DbtProject) -> Iterator[Problem]:
    """Columns that the use case names and its dbt models do not have."""
    features, label = use_case.features, use_case.label
    wanted = {f"features.{kind}.{name}": name for kind in ("numeric", "categorical") for name in getattr(features, kind)}
    yield from _check_model(use_case, project, "features", features.model, wanted)
    yield from _check_descriptions(use_case, project)
    wanted = {"label.column": label.column, "label.model": LABEL_KNOWN_AT}
    yield from _check_model(use_case, project, "label", label.model, wanted)
    yield from _check_label(use_case, project.contracts.get(label.model, {}).get(label.column))


def _check_descriptions(use_case: UseCase, project: DbtProject) -> Iterator[Problem]:
    """A feature is described once, where apps and reports read it: in the use case."""
    features = use_case.features
    for name in sorted(project.described(features.model) & set(features.names)):
        kind = "numeric" if name in features.numeric else "categorical"
        where = f"use_cases/{use_case.name}/{FILE_NAME}: features.{kind}.{name}"
        found = f"the .yml of dbt model {features.model} describes it too"
        yield Problem(where, found, "describe a feature here alone; remove the description from the .yml")


def _check_label(use_case: UseCase, found: str | None) -> Iterator[Problem]:
    """The label's type must be one of the task, where there is a label at all."""
    if found is None or use_case.task not in _LABELS:
        return
    best, known = _LABELS[use_case.task]
    if found.split("(")[0].strip().lower() not in known:
        where = f"use_cases/{use_case.name}/{FILE_NAME}: label.column"
        kind = f"{found or 'no data_type'} in dbt model {use_case.label.model}"
        yield Problem(where, kind, f"expected {best}, since task is {use_case.task}")


def _check_model(
    use_case: UseCase, project: DbtProject, part: str, model: str, wanted: Mapping[str, str]
) -> Iterator[Problem]:
    """Problems of one model; `wanted` has its columns by the field that names them."""
    where = f"use_cases/{use_case.name}/{FILE_NAME}"
    layer = "labels" if part == "label" else part
    path = f"{project.folder.name}/models/{layer}/{use_case.name}/{model}"
    if model not in project.names:
        close = difflib.get_close_matches(model, project.names, 1, _VERY_CLOSE)
        hint = f"did you mean {close[0]}?" if close else f"add {path}.sql"
        yield Problem(f"{where}: {part}.model", f"there is no dbt model {model!r}", hint)
        return
    if model not in project.contracts:
        hint = f"mend {project.problems[0]}" if project.problems else f"add {path}.yml"
        yield Problem(f"{where}: {part}.model", f"no .yml states the columns of {model!r}", hint)
        return
    columns = project.contracts[model]
    for field, name in {"entity": use_case.entity, "event_time": use_case.event_time, **wanted}.items():
        if name not in columns:
            close = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {close[0]}?" if close else "select it in the model, and add it to its .yml"
            yield Problem(f"{where}: {field}", f"dbt model {model} has no column {name!r}", hint)
    if (kind := columns.get(use_case.event_time, _INSTANT[0])) not in _INSTANT:
        found = f"{kind or 'no data_type'} in dbt model {model}"
        yield Problem(f"{where}: event_time", found, f"expected {_INSTANT[0]}, so that it means one instant")
