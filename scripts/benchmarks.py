"""Lists the benchmarks, with the first line of each docstring."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def main() -> None:
    """Print one line for each benchmark."""
    for name, path in sorted(benchmarks().items()):
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        print(f"  make bench NAME={name:<20} {about.splitlines()[0] if about else ''}")  # noqa: T201 - its purpose


def benchmarks() -> dict[str, Path]:
    """Name and main file of each benchmark: a module, or a folder with a `__main__.py`."""
    modules = {path.stem: path for path in FOLDER.glob("[!_]*.py")}
    return modules | {path.parent.name: path for path in FOLDER.glob("*/__main__.py")}


if __name__ == "__main__":
    main()
