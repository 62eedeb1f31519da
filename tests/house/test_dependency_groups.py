"""What the image of serving installs is what serving imports: nothing comes along by chance with another library."""

import ast
import re
import sys
import tomllib

OURS = {"noria", "serving"}
ROOMS = ("serving", "noria/core", "noria/inference", "noria/io", "noria/settings.py")
DISTRIBUTIONS = {
    "opentelemetry": "opentelemetry-sdk",
    "psycopg_pool": "psycopg[pool]",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}
"""Of modules that are named otherwise."""


def imported(files):
    """Top-level modules that files import, wherever in the file, without the standard library and ours."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def declared(project):
    """Distributions of serving; one with extras is there with each of them, such as psycopg[pool]."""
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    found = set()
    for line in (*settings["project"]["dependencies"], *settings["dependency-groups"]["serving"]):
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", line).groups()
        found |= {name, *(f"{name}[{extra}]" for extra in (extras or "").split(","))}
    return found


def undeclared(files, project):
    known = declared(project)
    return sorted(name for name in imported(files) if DISTRIBUTIONS.get(name, name.replace("_", "-")) not in known)


def test_serving_group_lists_what_serving_imports(project):
    files = [file for room in ROOMS for file in (project / room, *(project / room).rglob("*.py")) if file.is_file()]
    assert {"fastapi", "starlette", "onnxruntime"} <= imported(files)
    assert undeclared(files, project) == []


def test_planted_import_is_named(project, tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def load():\n    from pandas import DataFrame\n", encoding="utf-8")
    assert undeclared([planted], project) == ["pandas"]
