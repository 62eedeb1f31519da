"""docs/clients.md does what it says, in every language, against a real server that answers with version 0."""

import os
import shutil
import subprocess
import sys

import pytest

from noria.settings import Settings
from tests.conftest import PROJECT, skip_without
from tests.docs.guide import not_printed, read_guide
from tests.serving.conftest import serve

pytestmark = pytest.mark.slow

__all__ = ["serve"]
BLOCKS = read_guide(PROJECT / "docs" / "clients.md")
ADDRESS = "127.0.0.1:8000"
PROGRAMS = {"sh": ("sh", "-e"), "python": (sys.executable,), "javascript": ("node",)}
ENDINGS = {"sh": "sh", "python": "py", "javascript": "mjs"}


@pytest.fixture
def server(serve, tmp_path):
    shutil.copytree(PROJECT / "use_cases" / "flight_delays", tmp_path / "use_cases" / "flight_delays")
    return serve(
        Settings(
            home=tmp_path / "home",
            use_cases=tmp_path / "use_cases",
            mlflow_url="http://127.0.0.1:9",
            warehouse_url="",
        )
    )


def run(block, server, folder):
    script = folder / f"block.{ENDINGS[block.language]}"
    script.write_text(block.text.replace(ADDRESS, f"127.0.0.1:{server.port}"), encoding="utf-8")
    command = [*PROGRAMS[block.language], str(script)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_the_page_shows_every_language():
    assert {block.language for block in BLOCKS} == set(PROGRAMS)
    assert all(block.output for block in BLOCKS)
    assert sum(block.language == "python" for block in BLOCKS) == 3


@pytest.mark.parametrize("language", PROGRAMS)
def test_every_example_prints_what_the_page_shows(server, tmp_path, language):
    program = PROGRAMS[language][0]
    for needed in (program, *(["curl"] if language == "sh" else [])):
        skip_without(shutil.which(needed), f"{needed} is not installed here")
    blocks = [block for block in BLOCKS if block.language == language]
    assert blocks
    for block in blocks:
        result = run(block, server, tmp_path)
        assert result.returncode == 0, result.stderr
        assert not_printed(block.output, result.stdout) == [], result.stdout
