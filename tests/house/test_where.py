"""docs/where.md names files that exist, and no change touches more than three."""

from __future__ import annotations

import re

from tests.conftest import PROJECT

MOST_FILES = 3
PAGE = (PROJECT / "docs/where.md").read_text(encoding="utf-8")
FILE = re.compile(r"`([\w<>]+/[\w<>/.]+)`")


def test_ten_changes_touch_at_most_three_files_each():
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
    found = {change: FILE.findall(files) for change, files in cells[2:]}
    assert len(found) == 10
    assert {change: files for change, files in found.items() if not 1 <= len(files) <= MOST_FILES} == {}


def test_every_name_is_a_file():
    named = set(FILE.findall(PAGE)) - {"docs/reference/"}
    assert len(named) > 30
    assert {file for file in named if not any(path.is_file() for path in PROJECT.glob(re.sub(r"<\w+>", "*", file)))} == set()


def test_every_table_of_ops_is_listed():
    migrations = (PROJECT / "noria/data/migrations/versions").glob("*.py")
    made = re.compile(r"create table (?:if not exists )?ops\.(\w+)")
    tables = {table for path in migrations for table in made.findall(path.read_text(encoding="utf-8"))}
    assert len(tables) > 10
    assert tables - set(re.findall(r"`(\w+)`", PAGE)) == set()
