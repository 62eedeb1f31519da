"""The commands of this room as a shell would give them, on real PostgreSQL and MLflow."""

import getpass
import os
import subprocess
import sys

import pytest

from tests.jobs.test_release import services, train, use_case

__all__ = ["services", "use_case"]


@pytest.fixture
def noria(services, use_case, tmp_path, mlflow_url):
    environment = {
        **os.environ,
        "NORIA_HOME": str(tmp_path),
        "NORIA_USE_CASES": str(tmp_path),
        "NORIA_MLFLOW_URL": mlflow_url,
        "NORIA_WAREHOUSE_URL": services.settings.warehouse_url.get_secret_value(),
        "COLUMNS": "100",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "noria.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    return run


def test_a_second_person_is_asked_for_named_and_shown(noria, services, use_case, tmp_path):
    train(services, use_case, tmp_path)
    alone = noria("promote", use_case.name, "1")
    assert (alone.returncode, "--approved-by" in alone.stderr, "Traceback" in alone.stderr) == (1, True, False)
    same = noria("promote", use_case.name, "1", "--approved-by", getpass.getuser())
    assert "both asked for it and approved it" in same.stderr
    assert noria("promote", use_case.name, "1", "--approved-by", "ben").returncode == 0
    assert services.registry.champion(use_case.name).version == "1"
    told = noria("audit", "list", use_case.name).stdout
    assert "refused, version 1" in told
    assert "promoted, version 0 → 1" in told
    assert "approved by: ben" in told


def test_checklist_rehearsal_and_card(noria, services, use_case, tmp_path):
    train(services, use_case, tmp_path)
    before = noria("checklist", use_case.name)
    assert before.returncode == 1  # nothing was ingested, so nothing is traced back to raw data
    assert f"{use_case.name} version 1: " in before.stdout
    assert "not yet The roll-back has been gone through" in before.stdout
    assert "rolled back: version 0 serves, its files are whole" in noria("rehearse", use_case.name).stdout
    card = noria("card", use_case.name, "1")
    assert card.returncode == 0
    page = tmp_path / "storage" / "reports" / use_case.name / "cards" / "1" / "evidence" / "card.html"
    assert str(page) in card.stdout
    assert "rehearsed by" in page.read_text(encoding="utf-8")
