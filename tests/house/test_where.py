"""docs/where.md names files that exist, and no change touches more than three."""

from __future__ import annotations

import re

from tests.conftest import PROJECT

MOST_FILES = 3


def rows() -> dict[str, list[str]]:
    lines = (PROJECT / "docs/where.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {change: re.findall(r"`((?:noria|serving|monitoring|dags)/[^`]+)`", files) for change, files in cells[2:]}


def test_ten_changes_touch_at_most_three_files_each():
    found = rows()
    assert len(found) == 10
    assert {change: files for change, files in found.items() if not 1 <= len(files) <= MOST_FILES} == {}


def test_every_file_exists():
    for change, files in rows().items():
        for file in files:
            assert list(PROJECT.glob(re.sub(r"<\w+>", "*", file).rstrip("/"))), f"{change}: {file}"
