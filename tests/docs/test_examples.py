"""Every public entry point of the client, the jobs, the evaluation and the contract has an example, and all examples run.

An example may use the names of its own module, and these, which `tests/docs/example_names.py` makes when they are read:

    services    every part in memory; the registry has version 0 of `use_case`, its baseline
    use_case    parcels, yes or no: will it be late? Baseline: `hour >= 18`; a version takes over in steps of 5 and 100 %
    interval    1 April 2024; `services` has the features and labels of January to April
    as_of       1 May 2024
    snapshot    the training set of `use_case` as of `as_of`
    trial       hyperparameters of a linear model
    bundle      `trial` fitted to `snapshot`
    candidate   `bundle` as version 1 in the registry; its gates passed
    evaluated   another model and the rows that it is evaluated on
    export      measurements of that model's files
    folder      an empty folder
    url         address of the real serving app, which answers with version 0
    noria       a client of `url`; in the asynchronous client, the asynchronous one
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import noria.client
import noria.jobs
from tests.conftest import PROJECT
from tests.docs.example_names import ExampleNames
from tests.house.structure import Module, modules_of

ROOMS = ("noria.training.evaluation", "noria.core.lifecycle.evaluation", "noria.core.use_case", "noria.io.catalog")
"""Evaluation and contract: what modules outside of these call is public."""
PROMPT = ">>> "
FINDER = doctest.DocTestFinder(exclude_empty=True)
MODULES = modules_of(PROJECT)


def examples() -> list[doctest.DocTest]:
    """Every example of the project's code."""
    with_prompt = (name for name, module in MODULES.items() if PROMPT in module.path.read_text(encoding="utf-8"))
    found = (test for name in with_prompt for test in FINDER.find(importlib.import_module(name)))
    return [test for test in found if test.examples]


EXAMPLES = examples()


def names_read(test: doctest.DocTest) -> set[str]:
    """Names that an example reads and does not set itself."""
    trees = (ast.parse(example.source) for example in test.examples)
    names = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {node.id for node in names} - {node.id for node in names if isinstance(node.ctx, ast.Store)}


@pytest.fixture
def ready(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The names that an example asks for."""
    test: doctest.DocTest = request.getfixturevalue("example")
    made = ExampleNames(tmp_path, asynchronous=test.name.startswith("noria.client.asynchronous"))
    yield {name: getattr(made, name) for name in ExampleNames.all() if name in names_read(test)}
    made.close()


def run(example: doctest.DocTest, names: Mapping[str, Any]) -> str:
    """What is wrong with an example; empty if it gives what it shows."""
    report: list[str] = []
    example.globs.update(names)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    results = runner.run(example, out=report.append)
    return "" if results.attempted and not results.failed else "".join(report) or "nothing was run"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_example_gives_what_it_shows(example: doctest.DocTest, ready: dict[str, Any]) -> None:
    wrong = run(example, ready)
    assert wrong == "", wrong


@pytest.mark.parametrize("text", [">>> 1 + 1\n3\n", ">>> 1 + 1\n", ">>> nothing_of_that_name\n"])
def test_wrong_example_is_found(text: str) -> None:
    assert run(doctest.DocTestParser().get_doctest(text, {}, "planted", None, 0), {}) != ""


def test_no_example_is_skipped() -> None:
    assert [test.name for test in EXAMPLES for example in test.examples if doctest.SKIP in example.options] == []


def test_this_page_lists_the_ready_names() -> None:
    listed = re.findall(r"^    (\w+)  ", __doc__ or "", re.MULTILINE)
    assert sorted(listed) == sorted(ExampleNames.all())


def test_every_entry_point_has_an_example() -> None:
    found = entry_points()
    assert {"noria.jobs.data.ingest", "noria.client.sync.NoriaClient", "noria.io.catalog.load_catalog"} <= found
    assert {"noria.training.evaluation.report.evaluate", "noria.core.use_case.rule.Rule"} <= found
    missing = without_example(found)
    assert missing == [], "end each docstring with an Example, as in noria/jobs/access.py; the names above are ready"


def test_entry_point_without_an_example_is_found() -> None:
    assert without_example({"noria.jobs.data.ingest", "noria.jobs.data.ing", "noria.core.use_case.gates.Gate"}) == [
        "noria.jobs.data.ing"
    ]


def entry_points() -> set[str]:
    """Functions of jobs, all that the client exports, and what other rooms call of evaluation and contract."""
    public = [entry for module in _jobs() for entry in _functions_of(module)]
    public += [getattr(noria.client, name) for name in noria.client.__all__]
    called = {pair for module in MODULES.values() for pair in _imported_from_rooms(module)}
    entries = [getattr(importlib.import_module(room), name) for room, name in called]
    public += [entry for entry in entries if inspect.isfunction(entry) or (inspect.isclass(entry) and has_behaviour(entry))]
    return {f"{entry.__module__}.{entry.__qualname__}" for entry in public}


def has_behaviour(kind: type) -> bool:
    """Whether a class has public methods or properties of its own: one that only lists fields or words is no entry point."""
    own = (value for name, value in vars(kind).items() if not name.startswith(("_", "model_")))
    return any(inspect.isfunction(value) or isinstance(value, property | classmethod) for value in own)


def without_example(entries: set[str]) -> list[str]:
    """Those for which no test runs an example: of a class, one of its methods may show it."""
    shown = [f"{test.name}." for test in EXAMPLES]
    return sorted(entry for entry in entries if not any(name.startswith(f"{entry}.") for name in shown))


def _jobs() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(noria.jobs.__path__):
        yield importlib.import_module(f"noria.jobs.{module.name}")


def _functions_of(module: ModuleType) -> list[Any]:
    functions = inspect.getmembers(module, inspect.isfunction)
    return [entry for name, entry in functions if entry.__module__ == module.__name__ and not name.startswith("_")]


def _imported_from_rooms(module: Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module.tree):
        room = _room_of(node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if room and room != _room_of(module.name):
            yield from ((node.module, alias.name) for alias in node.names)


def _room_of(module: str) -> str:
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), "")
