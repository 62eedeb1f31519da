"""Suites of expectations as a use case writes them: YAML lists, read and checked without a database."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from noria.core.base.errors import Problem, UseCaseError
from noria.core.use_case import Frozen, Source, UseCase
from noria.io.yaml_file import read_yaml

FOLDER = "expectations"
FEATURES = "features"


class ExpectationSeverity(StrEnum):
    """Fate of rows that do not meet an expectation."""

    CRITICAL = "critical"
    WARNING = "warning"


class Expectation(Frozen):
    """One line of a suite."""

    type: str
    """Name of an expectation of Great Expectations, such as `expect_column_values_to_be_between`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, such as `column`, `min_value`, `mostly`."""
    severity: ExpectationSeverity = ExpectationSeverity.CRITICAL
    """critical stops everything downstream; warning only reports."""
    why: str = ""
    """What it would mean if it failed; shown with the failure."""


@dataclass(frozen=True)
class Suite:
    """All expectations on one table."""

    name: str
    """`raw_<source>` or `features`."""
    where: str
    """The file, for errors."""
    expectations: tuple[Expectation, ...]

    @staticmethod
    def suggest(name: str, known: Iterable[str]) -> str:
        """Suggestion of the name that was meant."""
        close = difflib.get_close_matches(name, list(known), 1)
        return f"did you mean {close[0]}?" if close else "see the gallery of Great Expectations"


def known_files(use_case: UseCase) -> Mapping[str, Source | None]:
    """The source of each suite that a use case may have, by the suite's name; None for the features."""
    return {FEATURES: None} | {f"raw_{source.name}": source for source in use_case.sources}


def read_suite(path: Path, known: Iterable[str]) -> Suite:
    """Read one suite.

    Args:
        path: `<use case>/expectations/<suite>.yaml`.
        known: names that a suite may have.

    Raises:
        UseCaseError: lists every problem of the file.
    """
    names = list(known)
    where = "/".join(path.parts[-4:])
    if path.stem not in names or path.suffix != ".yaml":
        close = difflib.get_close_matches(path.stem, names, 1)
        hint = f"did you mean {close[0]}.yaml?" if close else f"known: {', '.join(f'{name}.yaml' for name in names)}"
        raise UseCaseError([Problem(where, "is not the suite of any source", hint)])
    raw = read_yaml(path, where)
    if not isinstance(raw, list):
        found = type(raw).__name__
        raise UseCaseError([Problem(where, f"found {found}", "expected a list of {type, kwargs, severity}")])
    return Suite(path.stem, where, _expectations(raw, where))


def _expectations(raw: list[Any], where: str) -> tuple[Expectation, ...]:
    found: list[Expectation] = []
    problems: list[Problem] = []
    for index, item in enumerate(raw):
        try:
            found.append(Expectation.model_validate(item))
        except ValidationError as error:
            problems += [_explain(f"{where}: [{index}]", detail) for detail in error.errors()]
    if problems:
        raise UseCaseError(problems)
    return tuple(found)


def _explain(where: str, detail: Any) -> Problem:
    field = ".".join(str(part) for part in detail["loc"])
    at = f"{where}.{field}" if field else where
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, list(Expectation.model_fields), 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(Expectation.model_fields)}"
        return Problem(at, "is not a field", hint)
    if detail["type"] == "missing":
        return Problem(at, "is missing", "add it")
    return Problem(at, f"found {detail['input']!r}", detail["msg"].replace("Input should be", "expected"))
