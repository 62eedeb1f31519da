"""Reads and checks use-case folders. An error names file, field, what was found and what would be right."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from noria.core.base.errors import Problem, UseCaseError
from noria.core.use_case import UseCase
from noria.core.use_case.cross_checks import cross_check, suggest

FILE_NAME = "use_case.yaml"
_TAGS = frozenset(
    {("sources", "files"), ("sources", "sql"), ("business", "confusion"), ("business", "unit"), ("business", "classes")}
)
"""Names of variants that pydantic puts into the place of an error; no file contains them."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's safe loader is ten times as fast, and Airflow reads these files again and again."""


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
    for path in [root / name / FILE_NAME for name in names] or sorted(root.glob(f"*/{FILE_NAME}")):
        try:
            use_cases[path.parent.name] = load_use_case(path)
        except UseCaseError as error:
            problems[path.parent.name] = error.problems
    return Catalog(root, use_cases, problems)


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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UseCaseError([Problem(where, f"cannot be read ({error.strerror})", "put a use_case.yaml there")]) from error
    try:
        raw = yaml.load(text, Loader=_LOADER)  # noqa: S506  # both are safe loaders
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "cannot be parsed"
        raise UseCaseError([Problem(f"{where}{line}", f"not YAML ({reason})", "mend the syntax")]) from error
    if not isinstance(raw, dict):
        raise UseCaseError([Problem(where, f"found {_show(raw)}", "expected fields such as name, title, owner")])
    try:
        use_case = UseCase.model_validate(raw)
    except ValidationError as error:
        raise UseCaseError([_explain(where, detail) for detail in error.errors()]) from error
    folder, findings = path.parent.name, list(cross_check(use_case))
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
