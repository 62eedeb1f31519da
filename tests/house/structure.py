"""The project's own code as a graph: modules, folders, and who imports whom."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PLACES = ("noria", "serving", "monitoring", "dags", "plugins", "benchmarks", "scripts")
COMMAND_LINE = "noria/cli"
Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        name: dotted, such as ``noria.core.base.errors``; a package's own name for its ``__init__``.
        path: the file.
        folder: the folder it is in, relative to the root of the tree.
    """

    name: str
    path: Path
    folder: str

    @cached_property
    def text(self) -> str:
        """The file's content."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Number of lines."""
        return len(self.text.splitlines())


def modules_of(root: Path, places: Iterable[str] = PLACES) -> dict[str, Module]:
    """Every module below some folders of a tree, by name."""
    found = {}
    for place in places:
        for path in sorted((root / place).rglob("*.py")):
            relative = path.relative_to(root)
            parts = relative.with_suffix("").parts[1 if place.startswith("plugins") else 0 :]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, relative.parent.as_posix())
    return found


def file_graph(modules: Mapping[str, Module]) -> Graph:
    """Modules that each module imports, at its top or inside a function, for types alone too."""
    return {name: frozenset(_imported(module, modules)) - {name} for name, module in modules.items()}


def folder_graph(modules: Mapping[str, Module], depth: int) -> Graph:
    """Folders from which the files of each folder import; a folder below `depth` counts as the one above it.

    The command line is a place of its own at every depth: like dags and plugins, it stands over `noria` and `monitoring`.
    """
    folders = {name: _folder(module.folder, depth) for name, module in modules.items()}
    arrows: dict[str, set[str]] = {folder: set() for folder in folders.values()}
    for name, imported in file_graph(modules).items():
        arrows[folders[name]] |= {folders[other] for other in imported} - {folders[name]}
    return {folder: frozenset(others) for folder, others in arrows.items()}


def cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Strongly connected components of more than one node (Tarjan, 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            place = stack.index(node)
            if len(stack) - place > 1:
                found.append(tuple(sorted(stack[place:])))
            del stack[place:]

    for node in graph:
        if node not in order:
            visit(node)
    return found


def _folder(whole: str, depth: int) -> str:
    return COMMAND_LINE if whole.startswith(COMMAND_LINE) else "/".join(whole.split("/")[:depth])


def _imported(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    yield whole
                elif node.module in modules:
                    yield node.module
