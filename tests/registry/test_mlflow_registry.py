"""What only the real server can show: what a person finds in MLflow, interrupted registrations, damaged files."""

import json
import threading
import urllib.request
import uuid

import mlflow
import pytest

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import MANIFEST
from noria.registry.mlflow_registry import MlflowRegistry
from tests.registry.test_model_registry import a_bundle, register_trained, roles, some_evidence, three_versions


@pytest.fixture
def use_case() -> str:
    return f"parcels_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def registry(mlflow_url) -> MlflowRegistry:
    return MlflowRegistry(mlflow_url)


@pytest.fixture
def client(mlflow_url) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_url, mlflow_url)


def test_the_run_shows_dataset_parameters_metrics_and_files(registry, client, use_case, tmp_path):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"trials": "40"}
    assert run.data.metrics["roc_auc"] == 0.71
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source)["sha256"] == "5" * 64
    assert {item.path for item in client.list_artifacts(version.run_id)} == {"bundle", "signature.json"}


def test_the_files_can_be_fetched_over_plain_rest(registry, mlflow_url, use_case, tmp_path):
    register_trained(registry, tmp_path / "a", use_case, "key-1")
    registry.set_champion(use_case, "1")
    found = _get(f"{mlflow_url}/api/2.0/mlflow/registered-models/alias?name={use_case}&alias=champion")
    version = json.loads(found)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    place = version["source"].removeprefix("mlflow-artifacts:/")
    content = _get(f"{mlflow_url}/api/2.0/mlflow-artifacts/artifacts/{place}/{MANIFEST}")
    assert content == (tmp_path / "a" / MANIFEST).read_bytes()
    assert tags["bundle_digest"] == registry.champion(use_case).bundle_digest


def test_a_registration_killed_before_its_version_is_finished_by_the_next(registry, client, use_case, tmp_path, monkeypatch):
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "_create_version", die)
        with pytest.raises(KeyboardInterrupt):
            register_trained(registry, tmp_path / "a", use_case, "key-1")
    assert registry.find(use_case, "key-1") is None
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    experiment = client.get_experiment_by_name(use_case).experiment_id
    assert [run.info.run_id for run in client.search_runs([experiment])] == [version.run_id]


def test_a_run_killed_half_way_is_marked_and_logged_again(registry, client, use_case, tmp_path, monkeypatch):
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry._client, "log_artifacts", die)
        with pytest.raises(KeyboardInterrupt):
            register_trained(registry, tmp_path / "a", use_case, "key-1")
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    experiment = client.get_experiment_by_name(use_case).experiment_id
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FINISHED", "KILLED"]
    assert registry.download(version, tmp_path / "cache").is_dir()


@pytest.mark.parametrize(("survives", "left"), [(0, "1"), (1, "1"), (2, "1"), (3, "2")])
def test_a_promotion_killed_between_any_two_writes_is_completed_by_the_next(
    registry, use_case, tmp_path, monkeypatch, survives, left
):
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    registry.set_challenger(use_case, "2")
    with monkeypatch.context() as patch:
        _die_after(survives, registry._client, patch)
        with pytest.raises(KeyboardInterrupt):
            registry.set_champion(use_case, "2")
    alias_state = registry.alias_state(use_case)
    assert alias_state.champion == left
    assert left not in (alias_state.challenger, alias_state.previous)
    stages = {version.version: version.stage.value for version in registry.versions(use_case)}
    assert stages == {"0": "retired", "3": "candidate"} | (
        {"1": "champion", "2": "challenger"} if left == "1" else {"1": "retired", "2": "champion"}
    )
    registry.set_champion(use_case, "2")
    assert roles(registry, use_case) == ("2", "0", "1")


def test_a_promotion_killed_half_way_does_not_stop_another_one(registry, use_case, tmp_path, monkeypatch):
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    with monkeypatch.context() as patch:
        _die_after(2, registry._client, patch)
        with pytest.raises(KeyboardInterrupt):
            registry.set_champion(use_case, "2")
    registry.set_champion(use_case, "3")
    assert roles(registry, use_case) == ("3", "0", "1")
    assert registry.version(use_case, "2").stage.value == "candidate"


def test_a_version_that_is_not_there_changes_nothing(registry, client, use_case, tmp_path):
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    with pytest.raises(RegistryError):
        registry.set_champion(use_case, "7")
    assert roles(registry, use_case) == ("1", "0", "0")
    assert "retired" not in client.get_model_version(use_case, "1").tags


def test_the_page_of_a_version_shows_summary_metrics_and_the_card(registry, client, use_case, tmp_path):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1", evidence=some_evidence(tmp_path / "pages"))
    shown = client.get_model_version(use_case, "1")
    experiment = client.get_experiment_by_name(use_case).experiment_id
    place = f"#/experiments/{experiment}/runs/{version.run_id}/artifacts/evidence/model_card.html"
    assert shown.description == f"roc_auc 0.71 (baseline 0.55)\n\n[model card]({place})"
    assert shown.tags["metric.roc_auc"] == "0.7100"
    assert "**champion**" in client.get_registered_model(use_case).description


def test_two_at_once_end_with_one_version(mlflow_url, use_case, tmp_path):
    bundle, digest = a_bundle(tmp_path / "a", use_case, trained=True)
    registries = [MlflowRegistry(mlflow_url) for _ in range(2)]
    barrier = threading.Barrier(2)
    found = []

    def register(registry: MlflowRegistry) -> None:
        barrier.wait()
        found.append(
            registry.register(
                use_case,
                bundle,
                digest,
                key="key-1",
                params={},
                outcome=GateOutcome(passed=True, summary="", judged_against="0"),
            )
        )

    threads = [threading.Thread(target=register, args=(registry,)) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    (left,) = registries[0]._trained(use_case)
    assert {version.version for version in found} == {left.version}


def test_the_cache_is_used_and_a_damaged_copy_is_fetched_again(registry, use_case, tmp_path, monkeypatch):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    folder = registry.download(version, tmp_path / "cache")
    (folder / "golden.json").write_bytes(b"[1]")
    assert (registry.download(version, tmp_path / "cache") / "golden.json").read_bytes() == b"[]"
    offline = MlflowRegistry("http://127.0.0.1:9")
    assert offline.download(version, tmp_path / "cache") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_bundle_swapped_in_the_registry_is_refused(registry, client, use_case, tmp_path):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    forged, _ = a_bundle(tmp_path / "b", use_case, rule="hour >= 0", trained=True)
    client.log_artifacts(version.run_id, str(forged), "bundle")
    with pytest.raises(RegistryError, match=r"is damaged.*the registry says"):
        registry.download(version, tmp_path / "cache")
    assert not (tmp_path / "cache" / use_case / version.bundle_digest).exists()


def test_a_server_that_is_down_is_named_with_what_to_check(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"does not answer at http://127\.0\.0\.1:9.*NORIA_MLFLOW_URL"):
        MlflowRegistry("http://127.0.0.1:9/").champion("parcels")


def _die_after(survives: int, client: mlflow.MlflowClient, patch: pytest.MonkeyPatch) -> None:
    """Let a few writes about aliases through, then die in the next one."""
    left = iter(range(survives))

    def dying(write):
        def attempt(*arguments: object) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            write(*arguments)

        return attempt

    for name in ("set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias"):
        patch.setattr(client, name, dying(getattr(client, name)))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own server
        return response.read()
