"""The one reader of YAML files that users write: each fault of a file is a problem that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from noria.core.base.errors import Problem, UseCaseError, first_line

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's safe loader is ten times as fast, and Airflow reads these files again and again."""
_DEEPEST = 100


def read_yaml(path: Path, where: str) -> Any:
    """Read a YAML file; a key that is written twice is refused.

    Args:
        path: of the file.
        where: how errors name it.

    Raises:
        UseCaseError: the file cannot be read, or is not YAML in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UseCaseError([Problem(where, f"cannot be read ({error.strerror})", f"put a {path.name} there")]) from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise UseCaseError([Problem(f"{where}:{number}", "not text in UTF-8", "save it as UTF-8")]) from error
    try:
        return _load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "cannot be parsed"
        raise UseCaseError([Problem(f"{where}{line}", f"not YAML ({reason})", "mend the syntax")]) from error
    except Exception as error:  # the library lets errors of Python's own types through: a 30th of February, `!!bool maybe`
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UseCaseError([Problem(where, f"has a value that cannot be read ({reason})", "mend the value")]) from error


def entries(folder: Path, where: str) -> list[Path]:
    """What is in a folder, in order of name; empty where there is no such folder.

    Args:
        folder: to list.
        where: how errors name it.

    Raises:
        UseCaseError: the folder cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UseCaseError([Problem(where, f"cannot be read ({error.strerror})", "let Noria's user read it")]) from error


def _load(text: str) -> Any:
    _refuse_depth(text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        for mapping in _mappings(node):
            _refuse_duplicates(mapping)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_depth(text: str) -> None:
    """The library goes down once a level: far down, it would end the process."""
    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {_DEEPEST} levels", problem_mark=event.start_mark)


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping once, however often an alias repeats it."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        else:
            waiting += node.value


def _refuse_duplicates(mapping: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} is written twice", problem_mark=key.start_mark)
        seen.add((key.tag, str(key.value)))
