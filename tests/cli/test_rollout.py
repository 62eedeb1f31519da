"""`noria rollout ...` as a shell gives it, with every part in memory."""

import pytest
from click.testing import Result
from typer.testing import CliRunner

from noria.cli import app
from noria.cli.arguments import SERVICES
from noria.cli.console import explain
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import baseline_manifest
from noria.io.bundle_files import write_bundle
from noria.testing.fakes.prediction_store import ServedRow
from noria.testing.fakes.services import in_memory_services
from tests.reports.made_up import a_bundle, a_whole_use_case


@pytest.fixture
def services(tmp_path):
    return in_memory_services(tmp_path)


@pytest.fixture
def use_case(services, tmp_path):
    rollout = {"steps": [50], "bake": "0s", "guard": {"min_requests": 1}}
    use_case = a_whole_use_case(services.settings.use_cases, name="parcels", rollout=rollout)
    folder, registry = tmp_path / "baseline", services.registry
    registry.register_baseline(
        use_case.name, folder, write_bundle(folder, baseline_manifest(use_case), {"golden.json": b"[]"})
    )
    bundle, digest = a_bundle(tmp_path / "bundle", use_case.name)
    outcome = GateOutcome(passed=True, summary="roc_auc 0.71", judged_against="0")
    registry.register(use_case.name, bundle, digest, key="1", params={}, outcome=outcome)
    return use_case


@pytest.fixture
def noria(services, use_case, monkeypatch):
    """Runs the command in this process, on these services."""
    monkeypatch.setenv("COLUMNS", "100")
    token = SERVICES.set(services)

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["rollout", command, use_case.name, *arguments])

    yield run
    SERVICES.reset(token)


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
    services.served.serve(use_case, [ServedRow("1", services.clock.now(), None, 0.3, "false")])
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
