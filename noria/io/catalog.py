"""Reads and checks use-case folders. An error names file, field, what was found and what would be right."""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from noria.core.base.errors import Problem, UseCaseError, first_line
from noria.core.use_case import UseCase
from noria.core.use_case.cross_checks import cross_check, suggest
from noria.io.yaml_file import entries, read_yaml

FILE_NAME = "use_case.yaml"
_TAGS = frozenset(
    {("sources", "files"), ("sources", "sql"), ("business", "confusion"), ("business", "unit"), ("business", "classes")}
)
"""Names of variants that pydantic puts into the place of an error; no file contains them."""


@dataclass(frozen=True)
class Catalog:
    """The use cases of a folder, each by itself: a mistake in one touches no other.

    Attributes:
        root: the folder.
        use_cases: those that are right, by name.
        problems: what is wrong with the others, by name of their folder.

    Example:
        >>> catalog = load_catalog(services.settings.use_cases)
        >>> catalog.get(use_case.name) == use_case
        True
        >>> catalog.get("parcel")
        Traceback (most recent call last):
            ...
        noria.core.base.errors.UseCaseError: .../use_cases: no use case 'parcel'; known: parcels
    """

    root: Path
    use_cases: Mapping[str, UseCase]
    problems: Mapping[str, tuple[Problem, ...]] = default(default_factory=dict)

    def __iter__(self) -> Iterator[UseCase]:
        return iter(self.use_cases.values())

    def get(self, name: str) -> UseCase:
        """The use case of that name.

        Raises:
            UseCaseError: there is none (the error names those there are), or its file has mistakes.
        """
        if name in self.use_cases:
            return self.use_cases[name]
        if name in self.problems:
            raise UseCaseError(self.problems[name])
        known = ", ".join(sorted({*self.use_cases, *self.problems})) or "none"
        raise UseCaseError([Problem(str(self.root), f"no use case {name!r}", f"known: {known}")])

    def require_valid(self) -> None:
        """Accept no mistake, and no empty folder.

        Raises:
            UseCaseError: lists the problems of all use cases, or says that there is none.
        """
        if self.problems:
            raise UseCaseError([problem for problems in self.problems.values() for problem in problems])
        if not self.use_cases:
            found = "has no use case" if self.root.is_dir() else "is not a folder"
            raise UseCaseError([Problem(str(self.root), found, "set NORIA_USE_CASES, or add <name>/use_case.yaml")])

    def folder(self, use_case: UseCase) -> Path:
        """Folder of a use case's files."""
        return self.root / use_case.name


def load_catalog(root: Path, names: Sequence[str] = ()) -> Catalog:
    """Read every `<root>/<name>/use_case.yaml`, in order of name.

    Args:
        root: the folder of all use cases.
        names: of those to read; all of them where there are none.

    Example:
        >>> catalog = load_catalog(services.settings.use_cases)
        >>> [found.name for found in catalog if found == use_case], dict(catalog.problems)
        (['parcels'], {})
    """
    use_cases: dict[str, UseCase] = {}
    problems: dict[str, tuple[Problem, ...]] = {}
    try:
        found = names or [folder.name for folder in entries(root, str(root)) if _has_file(folder)]
    except UseCaseError as error:
        return Catalog(root, {}, {root.name: error.problems})
    for name in found:
        try:
            if name in {"", ".", ".."} or "/" in name:
                raise UseCaseError([Problem(str(root), f"no use case {name!r}", "give the name of a folder in it")])
            use_cases[name] = load_use_case(root / name / FILE_NAME)
        except UseCaseError as error:
            problems[name] = error.problems
    return Catalog(root, use_cases, problems)


def _has_file(folder: Path) -> bool:
    """Whether a use case is there, or something that hides whether there is one, such as a folder one may not enter."""
    try:
        os.lstat(folder / FILE_NAME)
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        return folder.is_symlink() and not folder.exists()
    except OSError:
        return True
    return True


def load_use_case(path: Path) -> UseCase:
    """Read and check one `use_case.yaml`.

    Raises:
        UseCaseError: the file cannot be read, or says something wrong; lists every problem.

    Example:
        >>> path = services.settings.use_cases / use_case.name / FILE_NAME
        >>> load_use_case(path).title
        'Warn customers of a late parcel'
        >>> _ = path.write_text(path.read_text(encoding="utf-8").replace("title:", "titel:"), encoding="utf-8")
        >>> load_use_case(path)
        Traceback (most recent call last):
            ...
        noria.core.base.errors.UseCaseError: use_cases/parcels/use_case.yaml: title: is missing; add it
        use_cases/parcels/use_case.yaml: titel: is not a field; did you mean title?
    """
    where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    raw = read_yaml(path, where)
    if not isinstance(raw, dict):
        raise UseCaseError([Problem(where, f"found {_show(raw)}", "expected fields such as name, title, owner")])
    try:
        use_case = UseCase.model_validate(raw)
        findings = list(cross_check(use_case))
    except ValidationError as error:
        raise UseCaseError([_explain(where, detail) for detail in error.errors()]) from error
    except (OverflowError, RecursionError) as error:
        raise UseCaseError([Problem(where, f"a value is too large ({first_line(error)})", "mend the value")]) from error
    folder = path.parent.name
    if use_case.name != folder:
        findings.insert(0, ("name", f"found {use_case.name!r}", f"expected the folder's name {folder!r}"))
    if problems := [Problem(f"{where}: {field}", found, expected) for field, found, expected in findings]:
        raise UseCaseError(problems)
    return use_case


def _explain(where: str, detail: ErrorDetails) -> Problem:
    """Turn one pydantic error into found and expected, with a suggestion where one is close."""
    location = [part for part in detail["loc"] if (detail["loc"][0], part) not in _TAGS]
    field = _path(location)
    at = f"{where}: {field}" if field else where
    if detail["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        return Problem(at, "is not a field", suggest(str(location[-1]), known))
    if detail["type"] == "missing":
        return Problem(at, "is missing", "add it")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if detail["type"] in ("enum", "literal_error", "union_tag_invalid"):
        context = detail.get("ctx", {})
        options = re.findall(r"'([^']+)'", str(context.get("expected") or context.get("expected_tags", "")))
        close = difflib.get_close_matches(str(detail["input"]), options, 1)
        message += f"; did you mean {close[0]}?" if close else ""
    elif detail["type"] == "string_pattern_mismatch":
        message = f"expected text that matches {detail.get('ctx', {}).get('pattern', '')}"
    return Problem(at, f"found {_show(detail['input'])}", message)


def _path(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields_at(location: Sequence[int | str]) -> tuple[str, ...]:
    """The fields that are allowed at a place in the file."""
    models: list[type[BaseModel]] = [UseCase]
    for part in location:
        found: list[type[BaseModel]] = []
        for model in models:
            if isinstance(part, str) and part in model.model_fields:
                found += _models_in(model.model_fields[part].annotation)
        models = found or models
    return tuple(dict.fromkeys(name for model in models for name in model.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (tuple, dict, list, Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        return [model for argument in get_args(annotation) for model in _models_in(argument)]
    return []
