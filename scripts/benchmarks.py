"""Lists the benchmarks, with the first line of what each measures."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def main() -> None:
    """Print one line for each benchmark."""
    for path in sorted(FOLDER.glob("*.py")):
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if not path.name.startswith("_"):
            print(f"  make bench NAME={path.stem:<20} {about.splitlines()[0] if about else ''}")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
