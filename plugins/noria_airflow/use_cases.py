"""Use cases for DAG files, so that a broken one takes no other's DAGs away.

DAG files loop over `valid_use_cases()`; `dags/use_cases.py` raises the problems of the others, which Airflow shows as that
file's import error.
"""

from __future__ import annotations

from collections.abc import Iterator

from noria.bootstrap import bootstrap
from noria.core.use_case import UseCase


def valid_use_cases() -> Iterator[UseCase]:
    """Use cases without mistakes, in order of name."""
    yield from bootstrap().catalog


def raise_problems() -> None:
    """Name file and field of every mistake in any use case.

    Raises:
        UseCaseError: there is a mistake, or no use case at all.
    """
    bootstrap().catalog.require_valid()


def readme(use_case: UseCase) -> str:
    """README of the use case; its title and decision where none can be read."""
    try:
        return (bootstrap().folder(use_case) / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return f"# {use_case.title}\n\nDecision: {use_case.business.decision}. Owner: {use_case.owner}."
