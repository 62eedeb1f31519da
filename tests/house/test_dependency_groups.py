"""What the image of serving installs is what serving imports: nothing comes along by chance with another library."""

import ast
import re
import sys
import tomllib

DISTRIBUTIONS = {
    "opentelemetry": "opentelemetry-sdk",
    "psycopg_pool": "psycopg[pool]",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}
"""Of modules that are named otherwise."""


def imported(file):
    """Full names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def others(files, project):
    """Top-level modules that files import, and the files of ours that they import, without the standard library."""
    found, waiting, seen = set(), list(files), set()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            for name in imported(file):
                top = name.partition(".")[0]
                waiting += files_of(name, project) if top in {"noria", "serving"} else ()
                found.add(top)
    return found - {"noria", "serving"} - set(sys.stdlib_module_names)


def files_of(name, project):
    """The files that run when `name` is imported: packages on the way, and the module, if the last part is one."""
    parts = name.split(".")
    places = [project.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    return [file for place in places for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]


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
    return sorted(name for name in others(files, project) if DISTRIBUTIONS.get(name, name.replace("_", "-")) not in known)


def test_serving_group_lists_what_serving_imports(project):
    files = [*(project / "serving").rglob("*.py")]
    assert {"fastapi", "starlette", "onnxruntime", "yaml"} <= others(files, project)
    assert undeclared(files, project) == []


def test_undeclared_import_is_named_also_in_a_module_that_another_imports(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2"]\n[dependency-groups]\nserving = ["starlette>=1"]\n', encoding="utf-8"
    )
    (tmp_path / "noria").mkdir()
    (tmp_path / "noria" / "pages.py").write_text("import numpy, starlette, json, jinja2\n", encoding="utf-8")
    planted = tmp_path / "planted.py"
    planted.write_text("def load():\n    from pandas import DataFrame\n    import noria.pages\n", encoding="utf-8")
    assert undeclared([planted], tmp_path) == ["jinja2", "pandas"]
