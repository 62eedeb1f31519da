"""The whole embedded stack, with a small slice of the flights as its only use case."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from noria.bootstrap import Services, bootstrap
from noria.demo.airflow_api import AirflowApi
from noria.settings import load_settings
from noria.testing.free_ports import free_port
from tests.conftest import PROJECT

PORTS = ("POSTGRES", "AIRFLOW", "MLFLOW", "SERVING", "SMTP", "MAIL")


def slice_of_flights(project: Path, root: Path) -> Path:
    """Six weeks of the shipped use case, week by week, with a small search and an eager retrain policy."""
    folder = root / "flight_delays"
    shutil.copytree(project / "use_cases" / "flight_delays", folder)
    path = folder / "use_case.yaml"
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields["schedule"] |= {"data": "@weekly", "start": "2013-01-06", "end": "2013-02-17"}
    fields["training"] |= {"trials": 4, "minutes": 1.0, "workers": 2, "test_window": "7d", "min_labels": 500}
    fields["gates"] = [{"metric": "roc_auc", "at_least": 0.55}]
    fields["risks"] = []
    fields["monitoring"]["drift"] = {"effect_size": 0.02, "min_rows": 100, "share_of_features": 0.05}
    fields["monitoring"]["retrain"] = {"after": "1 of 1", "cooldown": "1d", "min_new_labels": 100}
    path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services of a running stack; down again at the end in any case, with the environment as it was."""
    project = PROJECT
    root = tmp_path_factory.mktemp("wheel")
    patch = pytest.MonkeyPatch()
    patch.setenv("NORIA_HOME", str(root / "home"))
    patch.setenv("NORIA_USE_CASES", str(slice_of_flights(project, root / "use_cases")))
    for name in PORTS:
        patch.setenv(f"NORIA_{name}_PORT", str(free_port()))
    noria = Path(sys.executable).with_name("noria")
    try:
        started = subprocess.run([noria, "up"], capture_output=True, text=True, check=False)
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"
        services = bootstrap(load_settings())
        yield services
        services.warehouse.close()
    finally:
        subprocess.run([noria, "down"], env=os.environ, check=False)
        patch.undo()


@pytest.fixture(scope="module")
def airflow(running_stack: Services) -> Iterator[AirflowApi]:
    """A client of the stack's Airflow."""
    settings = running_stack.settings
    password = settings.airflow_password.get_secret_value()
    with AirflowApi(settings.airflow_url, settings.airflow_user, password) as client:
        yield client
