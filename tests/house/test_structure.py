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
from tests.house.structure import PLACES, Module, cycles, file_graph, folder_graph, modules_of
from tests.house.test_dependency_groups import imported

FILES_PER_ROOM = 15
LINES_PER_MODULE = 300
MEDIAN_LINES = 120
EVERYWHERE = (*PLACES, "tests")
FILES_THAT_TELL_TASKS_APART = 25
DISK_AND_CLOCK = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "touch", "unlink", "fromfile", "tofile"),
    *("now", "utcnow", "today", "__import__"),
}
"""Names of functions that core does not call."""
PRIVATE_PARTS = {
    r"airflow\.(?!sdk\.|providers\.|plugins_manager\.)": "noria_airflow.timetables",
    r"evidently\.legacy\.": "monitoring.evidently_report",
    r"uvicorn\.protocols\.": "serving.http.fast_protocol",
}
"""Below a library's name import-linter does not see; the bounds are in `pyproject.toml`."""


@pytest.fixture(scope="module")
def modules() -> Mapping[str, Module]:
    found = modules_of(PROJECT)
    assert {
        "noria.bootstrap",
        "serving.app",
        "monitoring.jobs",
        "dags.train",
        "noria_airflow.plugin",
        "noria_plugin",
        "scripts.bootstrap",
    } <= found.keys()
    return found


def impure(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in DISK_AND_CLOCK:
                yield f"{module.name}:{name}"
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{module.name}:{alias.name}" for alias in node.names if alias.name in DISK_AND_CLOCK)


def unseen_imports(module: Module) -> Iterator[str]:
    """Ways to a module that import-linter does not see: by a name at run time, or as an attribute of a package."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (f"{module.name}:{alias.name}" for alias in node.names if alias.name.split(".")[0] in PLACES)
        elif isinstance(node, ast.Name | ast.Attribute | ast.alias):
            name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
            if name in {"import_module", "__import__"}:
                yield f"{module.name}:{name}"


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


def test_folder_graph_has_no_cycle_at_any_depth(modules):
    deepest = max(module.folder.count("/") for module in modules.values()) + 1
    assert deepest > 3
    assert [cycles(folder_graph(modules, depth)) for depth in range(1, deepest + 1)] == [[]] * deepest


def test_cycle_of_files_is_found(tmp_path):
    found = planted(
        tmp_path, a="import noria.b", b="def late():\n    from noria.c import x", c="import noria.a", d="import noria.a"
    )
    assert cycles(file_graph(found)) == [("noria.a", "noria.b", "noria.c")]


def test_cycle_of_folders_is_found_without_a_cycle_of_files(tmp_path):
    found = planted(tmp_path, one__a="import noria.two.b", two__b="", two__c="from noria.one import d", one__d="")
    assert cycles(file_graph(found)) == []
    assert cycles(folder_graph(found, 2)) == [("noria/one", "noria/two")]


def test_cycle_of_upper_folders_is_found_without_one_of_the_folders_in_them(tmp_path):
    found = planted(tmp_path, one__a__x="import noria.two.y", two__y="", two__b__z="import noria.one.c.v", one__c__v="")
    assert cycles(folder_graph(found, 3)) == []
    assert cycles(folder_graph(found, 2)) == [("noria/one", "noria/two")]


def test_core_touches_no_disk_and_no_clock(modules):
    assert [calls for module in modules.values() if module.name.startswith("noria.core") for calls in impure(module)] == []


def test_disk_and_clock_are_found_in_core(tmp_path):
    found = planted(tmp_path, core__a="open('x')\nPath('x').read_text()", core__b="datetime.now()", core__c="now = 1")
    found = {**found, **planted(tmp_path, core__d="from io import open as o")}
    assert sorted(name for module in found.values() for name in impure(module)) == [
        *("noria.core.a:open", "noria.core.a:read_text", "noria.core.b:now", "noria.core.d:open"),
    ]


def test_dags_plugins_and_core_import_nothing_unseen(modules):
    bound = [
        module for module in modules.values() if re.match(r"dags\.|noria_airflow\.|noria_plugin|noria\.core\.", module.name)
    ]
    assert len(bound) > 50
    assert [name for module in bound for name in unseen_imports(module)] == []


def test_imports_that_the_linter_does_not_see_are_found(tmp_path):
    dynamic, attribute = "import importlib\nimportlib.import_module('x')", "import noria.jobs.access\nnoria.data.postgres"
    found = planted(
        tmp_path, a=dynamic, b="from importlib import import_module as i", c=attribute, d="from noria import jobs"
    )
    assert sorted(name for module in found.values() for name in unseen_imports(module)) == [
        *("noria.a:import_module", "noria.b:import_module", "noria.c:noria.jobs.access"),
    ]


def test_files_beside_the_plugins_only_pass_on_what_is_in_their_package():
    found = {name for file in (PROJECT / "plugins").glob("*.py") for name in imported(file)}
    assert {name for name in found if not name.startswith(("noria_airflow.", "__future__."))} == set()
    assert found


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


@pytest.mark.parametrize(("private", "owner"), PRIVATE_PARTS.items())
def test_private_part_of_a_library_is_imported_by_one_file(modules, private, owner):
    ours = [module for module in modules.values() if not module.name.startswith("benchmarks")]
    found = {module.name for module in ours for name in imported(module.path) if re.match(private, name)}
    assert found == {owner}


def test_public_class_names_are_unique():
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in public_classes(modules_of(PROJECT, EVERYWHERE)):
        homes[name].append(module)
    assert len(homes) > 300
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_every_room_says_what_it_is_for(modules):
    packages = [module for module in modules.values() if module.path.name == "__init__.py"]
    assert len(packages) > 40
    assert [module.name for module in packages if not ast.get_docstring(module.tree)] == []
