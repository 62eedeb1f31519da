"""Reads the use cases for DAG files, so that a broken one takes no other's DAGs away.

DAG files loop over `whole_use_cases()`; `dags/use_cases.py` raises the problems of the others, which Airflow shows as that
file's import error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noria.core.catalog import FILE_NAME, load_use_case
from noria.core.errors import Problem, UseCaseError
from noria.core.use_case import UseCase
from noria.settings import load_settings


@dataclass(frozen=True)
class Reading:
    """What was found in a folder of use cases."""

    use_cases: tuple[UseCase, ...]
    problems: tuple[Problem, ...]


def read_use_cases(root: Path) -> Reading:
    """Read every `<root>/<name>/use_case.yaml`, in order of name."""
    use_cases: list[UseCase] = []
    problems: list[Problem] = []
    for path in sorted(root.glob(f"*/{FILE_NAME}")):
        try:
            use_cases.append(load_use_case(path))
        except UseCaseError as error:
            problems += error.problems
    return Reading(tuple(use_cases), tuple(problems))


def whole_use_cases() -> Iterator[UseCase]:
    """The use cases that say what they must."""
    yield from read_use_cases(load_settings().use_cases).use_cases


def raise_problems() -> None:
    """Name file and field of everything that is wrong in any use case.

    Raises:
        UseCaseError: there is something; an empty folder counts, because no DAG at all is never what was meant.
    """
    root = load_settings().use_cases
    reading = read_use_cases(root)
    if reading.problems:
        raise UseCaseError(reading.problems)
    if not reading.use_cases:
        found = "has no use case" if root.is_dir() else "is not a folder"
        raise UseCaseError([Problem(str(root), found, "set NORIA_USE_CASES, or add <name>/use_case.yaml")])


def readme(use_case: UseCase) -> str:
    """What the use case's README says; its title and decision where there is none."""
    try:
        return (load_settings().use_cases / use_case.name / "README.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"# {use_case.title}\n\nDecision: {use_case.business.decision}. Owner: {use_case.owner}."
