"""What only the real server can show: what a person finds in MLflow, interrupted registrations, damaged files."""

import json
import threading
import urllib.request
import uuid

import mlflow
import pytest

from noria.core.bundle import MANIFEST
from noria.core.errors import RegistryError
from noria.registry.mlflow_registry import MlflowRegistry
from tests.registry.test_model_registry import a_bundle, register_trained


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


def test_a_promotion_killed_half_way_leaves_the_candidate_a_candidate(registry, use_case, tmp_path, monkeypatch):
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    for number in "123":
        register_trained(registry, tmp_path / number, use_case, f"key-{number}", f"hour >= {number}")
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    registry.set_champion(use_case, "1")
    with monkeypatch.context() as patch:
        patch.setattr(registry._client, "set_registered_model_alias", die)
        with pytest.raises(KeyboardInterrupt):
            registry.set_champion(use_case, "2")
    stages = [version.stage.value for version in registry.versions(use_case)]
    assert stages == ["retired", "champion", "candidate", "candidate"]


def test_two_at_once_end_with_one_version(mlflow_url, use_case, tmp_path):
    bundle, digest = a_bundle(tmp_path / "a", use_case, trained=True)
    registries = [MlflowRegistry(mlflow_url) for _ in range(2)]
    barrier = threading.Barrier(2)
    found = []

    def register(registry: MlflowRegistry) -> None:
        barrier.wait()
        found.append(registry.register(use_case, bundle, digest, key="key-1", params={}, tags={}))

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


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own server
        return response.read()
