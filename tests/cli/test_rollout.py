"""`noria rollout ...` as a shell gives it, on real PostgreSQL and MLflow."""

import json
import uuid

import pytest
import sqlalchemy as sa
from click.testing import Result
from pydantic import SecretStr
from typer.testing import CliRunner

from noria.bootstrap import bootstrap
from noria.cli import app
from noria.cli.console import explain
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import baseline_manifest
from noria.io.bundle_files import write_bundle
from noria.notify import mailer
from noria.settings import Settings
from tests.reports.made_up import a_bundle, a_whole_use_case


@pytest.fixture
def services(warehouse_url, mlflow_url, tmp_path):
    database, nobody = SecretStr(warehouse_url), 9  # nobody listens for mail, which stops nothing
    settings = Settings(home=tmp_path, use_cases=tmp_path, warehouse_url=database, mlflow_url=mlflow_url, smtp_port=nobody)
    services = bootstrap(settings)
    yield services
    services.warehouse.close()


@pytest.fixture
def use_case(services, tmp_path):
    use_case = a_whole_use_case(
        tmp_path, name=f"parcels_{uuid.uuid4().hex[:8]}", rollout={"steps": [50], "bake": "0s", "guard": {"min_requests": 1}}
    )
    folder, registry = tmp_path / "rule", services.registry
    registry.register_baseline(
        use_case.name, folder, write_bundle(folder, baseline_manifest(use_case), {"golden.json": b"[]"})
    )
    bundle, digest = a_bundle(tmp_path / "bundle", use_case.name)
    outcome = GateOutcome(passed=True, summary="roc_auc 0.71", judged_against="0")
    registry.register(use_case.name, bundle, digest, key="1", params={}, outcome=outcome)
    return use_case


@pytest.fixture
def noria(services, use_case, monkeypatch):
    monkeypatch.setattr("noria.bootstrap.bootstrap", lambda: services)
    monkeypatch.setattr(mailer, "_PAUSES", ())
    monkeypatch.setenv("COLUMNS", "100")

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["rollout", command, use_case.name, *arguments])

    return run


def refusal(result: Result) -> str:
    """The error for a request that cannot be."""
    assert result.exit_code == 1
    assert result.exception is not None
    return explain(result.exception) or ""


def test_a_rollout_by_hand(noria, services, use_case):
    assert "has no rollout: `noria rollout start" in refusal(noria("status"))
    assert "has no challenger that waits" in refusal(noria("start"))
    assert "50 %" in noria("start", "1", "--allow-breaking").stdout
    assert "0 rows against 0 of the champion" in noria("status").stdout
    assert "waits for" in noria("advance").stdout
    with services.warehouse.transaction() as connection:
        row = {"id": str(uuid.uuid4()), "name": use_case.name, "now": services.clock.now(), "features": json.dumps({})}
        connection.execute(
            sa.text(
                "insert into ops.predictions (id, use_case, version, requested_at, features, score, decision, latency_ms) "
                "values (:id, :name, '1', :now, :features, 0.3, 'false', 1)"
            ),
            row,
        )
    assert "completed" in noria("advance").stdout
    assert services.registry.champion(use_case.name).version == "1"
    assert "is champion already" not in noria("start", "1").stdout  # it became so by this rollout


def test_pausing_and_aborting_by_hand(noria, services, use_case):
    noria("start", "1", "--allow-breaking")
    assert "paused" in noria("pause", "--reason", "a holiday").stdout
    assert "paused: a holiday" in noria("advance").stdout
    assert "running" in noria("resume").stdout
    assert "aborted" in noria("abort", "--reason", "odd answers").stdout
    assert "(odd answers)" in refusal(noria("start", "1", "--allow-breaking"))
    assert "running" in noria("start", "1", "--allow-breaking", "--reason", "they were not odd").stdout
    assert services.registry.rollout(use_case.name).is_live
