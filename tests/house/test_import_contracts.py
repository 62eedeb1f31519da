"""The import contracts hold, and each of them fires when it is broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOTS = ("noria", "serving", "monitoring")
VIOLATIONS = [
    ("noria/core/planted.py", "import noria.settings", "core imports nothing of ours"),
    ("noria/training/planted.py", "import noria.data.warehouse", "never import one another"),
    ("noria/data/planted.py", "import noria.jobs", "doors above it"),
    ("serving/planted.py", "import noria.data.warehouse", "serving imports only core"),
    ("monitoring/planted.py", "import noria.training.search", "monitoring does not import training"),
    ("noria/planted.py", "import airflow", "Airflow is imported by dags and plugins alone"),
    ("monitoring/planted.py", "import evidently", "Evidently is imported by one file"),
    ("noria/planted.py", "import great_expectations", "Great Expectations is imported by one file"),
    ("monitoring/planted.py", "import mlflow", "MLflow is imported by the registry alone"),
]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy_of_the_house(tmp_path_factory) -> Path:
    project = Path(__file__).resolve().parents[2]
    tree = tmp_path_factory.mktemp("house")
    for root in ROOTS:
        shutil.copytree(project / root, tree / root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(project / "pyproject.toml", tree)
    return tree


def test_the_house_keeps_its_contracts(copy_of_the_house):
    result = lint(copy_of_the_house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS)
def test_a_planted_violation_is_found(copy_of_the_house, file, line, contract):
    planted = copy_of_the_house / file
    planted.write_text(f"{line}\n", encoding="utf-8")
    try:
        result = lint(copy_of_the_house)
    finally:
        planted.unlink()
    broken = [row for row in result.stdout.splitlines() if "BROKEN" in row]
    assert result.returncode != 0
    assert any(contract in row for row in broken), result.stdout
