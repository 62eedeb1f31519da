"""The contract of use cases: what `noria check` and `noria schema` do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from noria.bootstrap import Services
from noria.core.base.errors import UseCaseError
from noria.core.use_case import UseCase, json_schema
from noria.io.catalog import load_catalog

SCHEMA_FILE = "use_case.schema.json"


@dataclass(frozen=True)
class CheckedUseCase:
    """A use case without mistakes, in numbers."""

    name: str
    features: int
    sources: int
    gates: int
    expectations: int


def check(services: Services, names: Sequence[str] = ()) -> tuple[CheckedUseCase, ...]:
    """Hold use cases against their contract: fields, names, rules, gates, expectations, columns of their dbt models.

    Args:
        services: settings say where use cases and dbt models are.
        names: of the use cases; all of them where there are none.

    Raises:
        UseCaseError: lists all problems of all of them.

    Example:
        >>> check(services, [use_case.name])
        (CheckedUseCase(name='parcels', features=3, sources=1, gates=1, expectations=0),)
    """
    from noria.data.transform.dbt_contracts import DbtProject, check_models

    catalog, models = load_catalog(services.settings.use_cases, names), DbtProject(services.settings.dbt_project)
    problems = [problem for found in (*catalog.problems.values(), models.problems) for problem in found]
    checked: list[CheckedUseCase] = []
    for use_case in catalog:
        problems += check_models(use_case, models)
        try:
            checked.append(_counted(use_case, catalog.folder(use_case)))
        except UseCaseError as error:
            problems += error.problems
    if problems:
        raise UseCaseError(problems)
    catalog.require_valid()
    return tuple(checked)


def _counted(use_case: UseCase, folder: Path) -> CheckedUseCase:
    from noria.data.quality.validation import read_suites

    return CheckedUseCase(
        name=use_case.name,
        features=len(use_case.features.names),
        sources=len(use_case.sources),
        gates=len(use_case.gates),
        expectations=sum(len(suite.expectations) for suite in read_suites(folder)),
    )


def schema() -> str:
    """The JSON Schema of `use_case.yaml`.

    Example:
        >>> json.loads(schema())["properties"]["title"]["description"]
        'One line: what the business gets.'
    """
    return json.dumps(json_schema(), indent=2, ensure_ascii=False)


def write_schema(services: Services) -> Path:
    """Write the JSON Schema beside the use cases; returns its path.

    Example:
        >>> write_schema(services).name
        'use_case.schema.json'
    """
    path = services.settings.use_cases / SCHEMA_FILE
    path.write_text(schema() + "\n", encoding="utf-8")
    return path
