"""The import contracts hold, and each of them fires when it is broken."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

ROOTS = ("noria", "serving", "monitoring", "plugins/noria_airflow", "dags", "benchmarks", "scripts", "tests/house")
VIOLATIONS = [
    ("noria/core/base/planted.py", "import noria.core.lifecycle.gates", "core: base, use case, model"),
    ("noria/core/planted.py", "import scipy", "core imports itself, pydantic, numpy"),
    ("noria/core/model/planted.py", "import os", "core imports itself, pydantic, numpy"),
    ("noria/core/planted.py", "import noria.settings", "noria: entry points, jobs"),
    ("noria/training/data/planted.py", "import noria.data.postgres.warehouse", "noria: entry points, jobs"),
    ("noria/data/postgres/planted.py", "import noria.jobs.data", "noria: entry points, jobs"),
    ("noria/data/postgres/planted.py", "import noria.client.errors", "noria: entry points, jobs"),
    ("noria/jobs/planted.py", "import noria.testing.builders", "noria: entry points, jobs"),
    ("noria/data/postgres/planted.py", "import monitoring.retraining", "noria knows nothing of serving and monitoring"),
    ("noria/testing/planted.py", "import serving.app", "noria knows nothing of serving and monitoring"),
    ("noria/rollout/planted.py", "import noria.data.postgres.warehouse", "A rollout stands on release and reports"),
    ("noria/training/data/planted.py", "import noria.training.search.trial", "training: data, models, search and fit"),
    ("noria/training/models/base/planted.py", "import noria.training.models.linear", "No room imports one that imports it"),
    ("noria/data/postgres/planted.py", "import noria.data.tables.features", "data: PostgreSQL, tables and ingest"),
    ("dags/planted.py", "import noria.data.ingest.ingest", "dags import jobs and what these take and return"),
    ("dags/planted.py", "import sqlalchemy", "dags import jobs and what these take and return"),
    ("plugins/noria_airflow/planted.py", "import noria.ports.mailer", "plugins import jobs and what these take and return"),
    ("noria/cli/planted.py", "import noria.registry.entries", "The command line imports jobs and what these take"),
    ("noria/cli/planted.py", "import monitoring.retraining", "The command line imports jobs and what these take"),
    ("serving/models/planted.py", "import serving.predict.prediction", "serving: from the contract of a version up"),
    ("serving/contract/planted.py", "import noria.client.errors", "serving imports itself, core, inference, io"),
    ("serving/http/planted.py", "import optuna", "serving imports itself, core, inference, io"),
    ("serving/http/planted.py", "import noria.data.postgres.warehouse", "serving reaches no other room"),
    ("monitoring/assessment/planted.py", "import monitoring.email.message", "monitoring: assess, retrain, report, jobs"),
    ("monitoring/email/planted.py", "import noria.training.search.trial", "monitoring does not import training"),
    ("noria/client/planted.py", "import noria.core.base.errors", "The client stands alone"),
    ("noria/jobs/planted.py", "import airflow", "Airflow is imported by dags and plugins alone"),
    ("monitoring/email/planted.py", "import evidently", "Evidently is imported by one file"),
    ("noria/reports/planted.py", "import onnxruntime.capi", "onnxruntime is imported by one file"),
    ("noria/reports/planted.py", "import uvicorn.protocols", "uvicorn is imported by serving and the mail catcher"),
    ("noria/jobs/planted.py", "import great_expectations", "Great Expectations is imported by one file"),
    ("noria/data/postgres/planted.py", "import alembic", "Alembic is imported by the migrations alone"),
    ("monitoring/email/planted.py", "import mlflow", "MLflow is imported by the registry alone"),
    ("noria/jobs/planted.py", "import benchmarks.serving.targets", "Nothing imports benchmarks and scripts"),
    ("scripts/planted.py", "import noria.settings", "scripts run before Noria is installed"),
    ("benchmarks/shared/planted.py", "import benchmarks.serving.targets", "benchmarks: none imports another"),
    ("noria/jobs/planted.py", "import jinja2", "Jinja is imported by one file"),
]


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'plugins'}", "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy_of_the_house(tmp_path_factory) -> Path:
    project = PROJECT
    tree = tmp_path_factory.mktemp("house")
    for root in ROOTS:
        shutil.copytree(project / root, tree / root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(project / "pyproject.toml", tree)
    return tree


def test_the_house_keeps_its_contracts(copy_of_the_house):
    result = lint(copy_of_the_house)
    assert result.returncode == 0, result.stdout


def test_every_contract_has_a_planted_violation():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    names = [contract["name"] for contract in settings["contracts"]]
    begun = {contract: [name for name in names if name.startswith(contract)] for _, _, contract in VIOLATIONS}
    assert {contract: found for contract, found in begun.items() if len(found) != 1} == {}
    assert sorted(names) == sorted(name for (name,) in begun.values())


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
