"""What people read is plain international English: no word of a list that a reader has to translate."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

WORDS = re.compile(
    r"\b(whoever|whomever|whatever|whichever|whosoever|somebody who|told|by and by|for ever"
    r"|in earnest"
    r"|save those|there is but|hardly learnt|unheard|cooked|nobody has|nobody is|nobody was|nobody says|nobody knows"
    r"|t(?:ake|akes|ook|aken|aking) (?!over)[^.,;:|]{0,30}\bback)\b",
    re.IGNORECASE,
)
PYTHON = ("noria", "serving", "monitoring", "dags", "plugins", "benchmarks", "scripts", "tests", "config")
TEXTS = frozenset({".md", ".html", ".j2", ".txt", ".yaml", ".yml", ".sql", ".json"})
ELSEWHERE = (
    "uv.lock",
    "docs/glossary.md",
    "tests/house/test_prose.py",
    "tests/house/test_glossary.py",
    "tests/data/migrations/unnumbered/",
)
"""Files that name the words on purpose, and tables as earlier releases made them."""


def prose_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every comment, string and test name of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield token.start[0], token.string
        elif token.type == tokenize.NAME and token.string.startswith("test_"):
            yield token.start[0], token.string.replace("_", " ")


def texts(root: Path) -> Iterator[tuple[Path, int, str]]:
    """Every piece of prose of the project."""
    for place in PYTHON:
        for path in sorted((root / place).rglob("*.py")):
            yield from ((path, line, text) for line, text in prose_of(path.read_text(encoding="utf-8")))
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("target", "logs"))
        for path in (Path(folder) / name for name in sorted(names)):
            if path.suffix in TEXTS:
                yield path, 1, path.read_text(encoding="utf-8")


def found_in(root: Path) -> list[str]:
    """Where a word of the list stands, as ``path:line: word``."""
    found = []
    for path, line, text in texts(root):
        name = path.relative_to(root).as_posix()
        if not name.startswith(ELSEWHERE):
            found += [f"{name}:{line + text[: hit.start()].count(chr(10))}: {hit[0]}" for hit in WORDS.finditer(text)]
    return found


def test_no_word_of_the_list_is_used():
    found = found_in(PROJECT)
    assert found == [], f"{len(found)} places"


@pytest.mark.parametrize(
    "source", ['"""Says what whoever asks was told."""', "# by and by", "def test_a_model_that_was_taken_back():\n    pass"]
)
def test_word_is_found(tmp_path, source):
    (tmp_path / "noria").mkdir()
    (tmp_path / "noria" / "planted.py").write_text(f"{source}\n", encoding="utf-8")
    assert found_in(tmp_path) != []


def test_docstrings_begin_with_a_capital_and_end_with_a_stop():
    """A stop, or a question mark; a code face, a formula or a bracket may stand last in a longer paragraph."""
    wrong = []
    for place in ("noria", "serving", "monitoring"):
        for path in sorted((PROJECT / place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                    text := ast.get_docstring(node)
                ):
                    first = text.split("\n\n")[0].rstrip()
                    if not re.match(r"[A-Z`0-9\"*\[]", first) or not first.endswith((".", "?", ":")):
                        wrong.append(f"{path.relative_to(PROJECT)}: {first}")
    assert wrong == []
