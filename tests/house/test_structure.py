"""The shape of the house: no cycle of files or folders, no crowded room, no long module, no class name twice."""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.house.structure import Module, cycles, file_graph, folder_graph, modules_of

FILES_PER_ROOM = 15
LINES_PER_MODULE = 300
MEDIAN_LINES = 120
EVERYWHERE = ("noria", "serving", "monitoring", "dags", "plugins", "benchmarks", "tests")
FILES_THAT_TELL_TASKS_APART = 25


@pytest.fixture(scope="module")
def modules() -> Mapping[str, Module]:
    found = modules_of(PROJECT)
    assert {"noria.bootstrap", "serving.app", "monitoring.jobs", "dags.train", "noria_airflow.plugin"} <= found.keys()
    return found


def planted(root: Path, **files: str) -> Mapping[str, Module]:
    for name, content in files.items():
        path = root / "noria" / Path(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")
    return modules_of(root, ["noria"])


def public_classes(modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    for module in modules.values():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, module.name


def test_file_graph_has_no_cycle(modules):
    assert cycles(file_graph(modules)) == []


def test_folder_graph_has_no_cycle(modules):
    assert cycles(folder_graph(modules)) == []


def test_cycle_of_files_is_found(tmp_path):
    found = planted(
        tmp_path, a="import noria.b", b="def late():\n    from noria.c import x", c="import noria.a", d="import noria.a"
    )
    assert cycles(file_graph(found)) == [("noria.a", "noria.b", "noria.c")]


def test_cycle_of_folders_is_found_without_a_cycle_of_files(tmp_path):
    found = planted(tmp_path, one__a="import noria.two.b", two__b="", two__c="from noria.one import d", one__d="")
    assert cycles(file_graph(found)) == []
    assert cycles(folder_graph(found)) == [("noria/one", "noria/two")]


def test_rooms_hold_few_files():
    counts: Counter[str] = Counter()
    for module in modules_of(PROJECT, EVERYWHERE).values():
        counts[module.folder] += module.path.name != "__init__.py"
    assert len(counts) > 40
    assert {room: count for room, count in counts.items() if count > FILES_PER_ROOM} == {}


def test_modules_are_short(modules):
    lengths = {name: module.lines for name, module in modules_of(PROJECT, EVERYWHERE).items()}
    assert {name for name in lengths if name.startswith("tests.")}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_PER_MODULE} == {}
    assert statistics.median(module.lines for module in modules.values()) <= MEDIAN_LINES


def test_few_files_tell_tasks_apart(modules):
    found = [module.name for module in modules.values() if re.search(r"\bTask\.[A-Z]", module.text)]
    assert "noria.core.metrics.task_profile" in found
    assert len(found) <= FILES_THAT_TELL_TASKS_APART, found


def test_public_class_names_are_unique(modules):
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in public_classes(modules):
        homes[name].append(module)
    assert len(homes) > 300
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_every_room_says_what_it_is_for(modules):
    packages = [module for module in modules.values() if module.path.name == "__init__.py"]
    assert len(packages) > 40
    assert [module.name for module in packages if not ast.get_docstring(module.tree)] == []
