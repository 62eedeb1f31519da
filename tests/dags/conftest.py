"""DAG files, parsed in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT

Bag = dict[str, Any]


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Airflow's settings for a process that only parses."""
    project = PROJECT
    home = tmp_path_factory.mktemp("airflow")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "NORIA_"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "NORIA_HOME": str(home / "noria"),
        "PYTHONPATH": os.pathsep.join([str(project), str(project / "plugins"), str(project / "config")]),
    }


@pytest.fixture(scope="session")
def parse(airflow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Bag]:
    """Parses `dags/` for a folder of use cases."""
    script = Path(__file__).with_name("describe_bag.py")
    dags = airflow_environment["AIRFLOW__CORE__DAGS_FOLDER"]

    def run(use_cases: Path) -> Bag:
        answer = tmp_path_factory.mktemp("bag") / "bag.json"
        environment = {**airflow_environment, "NORIA_USE_CASES": str(use_cases)}
        done = subprocess.run(
            [sys.executable, str(script), dags, str(answer)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(json.loads(answer.read_text(encoding="utf-8")))

    return run
