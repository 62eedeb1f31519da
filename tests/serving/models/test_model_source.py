"""Serving follows the champion of a real MLflow server, and stays as it was when something on the way fails."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import httpx
import mlflow
import pytest
from fastapi.testclient import TestClient

from noria.registry.mlflow_registry import MlflowRegistry
from noria.testing.builders import write_use_case
from serving.app import create_app
from tests.serving import fake_mlflow
from tests.serving.bundles import OUTCOME

NO_SERVER = "http://127.0.0.1:9"  # a port without a listener


def serves(services, name):
    services.source.refresh()
    model = services.models.get(name)
    return model.version, model.digest, str(model.origin)


def test_refresh_follows_the_alias_forth_and_back(services, name, registry, register):
    assert serves(services, name) == ("0", "", "rule")
    (first, one), (second, two) = register(1), register(2)
    assert serves(services, name) == ("0", "", "rule")
    for version, bundle in ((first, one), (second, two), (first, one)):
        registry.set_champion(name, version)
        assert serves(services, name) == (version, bundle.digest, "registry")
    registry.set_champion(name, "0")
    assert serves(services, name) == ("0", "", "rule")
    assert f'noria_serving_swaps_total{{use_case="{name}"}} 4.0' in services.metrics.text().decode()


def test_a_swap_changes_scores_schema_and_facts(settings, mlflow_url, name, registry, register):
    version, bundle = register(1)
    with TestClient(create_app(settings.model_copy(update={"mlflow_url": mlflow_url}))) as client:
        before = client.get("/openapi.json").json()["components"]["schemas"]
        registry.set_champion(name, version)
        client.app.state.services.source.refresh()
        instance = {"weight": 3.5, "hour": 19, "depot": "north"}
        (answer,) = client.post(f"/v1/{name}/predict", json={"instances": [instance]}).json()["predictions"]
        assert answer["score"] == pytest.approx(bundle.score, abs=1e-6)
        assert (answer["version"], answer["threshold"], answer["decision"]) == (version, 0.4, bundle.score >= 0.4)
        after = client.get("/openapi.json").json()["components"]["schemas"]
        assert before != after
        (schema,) = (schema for kind, schema in after.items() if kind.endswith("Instance"))
        assert schema["properties"]["depot"]["x-seen-categories"] == ["north", "south"]
        assert schema["properties"]["weight"]["description"] == "Weight. In kg. Usually 0 to 70."
        about = client.get(f"/v1/{name}").json()["serves"]
        assert (about["version"], about["digest"], about["metrics"]) == (version, bundle.digest, {"roc_auc": 0.71})
        assert about["as_of"] == "2024-05-01T00:00:00Z"
        many = client.post(f"/v1/{name}/predict", json={"instances": [instance] * 1000}).json()["predictions"]
        assert {prediction["score"] for prediction in many} == {answer["score"]}


def test_refresh_request_serves_the_new_champion_at_once(settings, mlflow_url, name, registry, register, eventually):
    version, _ = register(1)
    patient = settings.model_copy(update={"mlflow_url": mlflow_url, "serving_poll_seconds": 3600.0})
    with TestClient(create_app(patient)) as client:
        registry.set_champion(name, version)
        assert client.post(f"/v1/{name}/refresh").status_code == 202
        eventually(lambda: client.get(f"/v1/{name}").json()["serves"]["version"] == version)


def test_a_new_replica_has_the_champion_when_its_start_is_over(services, name, registry, register):
    version, _ = register(1)
    registry.set_champion(name, version)
    services.source.start(patience=300)
    assert services.models.get(name).version == version


def test_a_restart_without_the_registry_serves_the_last_good_version(services, restart, settings, name, registry, register):
    version, bundle = register(1)
    registry.set_champion(name, version)
    serves(services, name)
    alone = restart(NO_SERVER)
    assert serves(alone, name) == (version, bundle.digest, "disk")
    assert "does not answer" in alone.source.trouble
    shutil.rmtree(settings.serving_state / "bundles")
    alone = restart(NO_SERVER)
    assert serves(alone, name) == ("0", "", "rule")


def test_a_rolled_back_version_does_not_come_back_with_a_restart(services, restart, name, registry, register):
    version, _ = register(1)
    for champion in (version, "0"):
        registry.set_champion(name, champion)
        serves(services, name)
    alone = restart(NO_SERVER)
    assert serves(alone, name) == ("0", "", "rule")


def test_a_bundle_damaged_on_disk_is_fetched_again(services, restart, settings, name, registry, register):
    version, bundle = register(1)
    registry.set_champion(name, version)
    serves(services, name)
    (settings.serving_state / "bundles" / name / bundle.digest / "model.onnx").write_bytes(b"damaged")
    again = restart()
    assert again.models.get(name).version == "0"
    assert serves(again, name) == (version, bundle.digest, "registry")


def test_wrong_golden_scores_are_refused_and_the_old_version_stays(services, name, registry, register):
    good, bundle = register(1)
    bad, _ = register(2, golden_score=0.123)
    registry.set_champion(name, good)
    serves(services, name)
    registry.set_champion(name, bad)
    for _ in range(3):  # tried once: the next try waits
        assert serves(services, name) == (good, bundle.digest, "registry")
    assert "golden request 0" in services.source.refused[name]
    assert f'noria_serving_refused_bundles_total{{use_case="{name}"}} 1.0' in services.metrics.text().decode()
    assert not services.source.trouble
    registry.set_champion(name, good)
    serves(services, name)
    assert services.source.refused == {}


def test_refresh_unforeseen_error_of_one_use_case_does_not_hold_up_the_others(restart, use_cases, name, make_bundle, caplog):
    write_use_case(use_cases, name="asked_before")  # names are followed in their order
    with fake_mlflow.running() as mlflow_server:
        mlflow_server.register(name, "1", bundle := make_bundle(1, use_case=name))
        mlflow_server.champions[name] = "1"
        mlflow_server.garbled.add("asked_before")
        services = restart(mlflow_server.url)
        assert serves(services, name) == ("1", bundle.digest, "registry")
    assert services.models.get("asked_before").version == "0"
    assert "asked_before: following the registry failed; what is served stays" in caplog.text


@pytest.mark.parametrize("damage", ["altered", "missing", "no graph", "other use case", "other digest", "no digest"])
def test_a_damaged_bundle_is_refused(services, settings, name, registry, register, make_bundle, damage):
    good, bundle = register(1)
    registry.set_champion(name, good)
    serves(services, name)
    client = mlflow.MlflowClient(registry._url, registry._url)
    champion = _register_damaged(client, registry, name, make_bundle, damage)
    client.set_registered_model_alias(name, "champion", champion)
    assert serves(services, name) == (good, bundle.digest, "registry")
    assert services.source.refused[name].startswith(f"version {champion}: ")
    kept = settings.serving_state / "bundles" / name
    assert [path.name for path in kept.iterdir()] == [bundle.digest]


def _register_damaged(client, registry, name, make_bundle, damage):
    bundle = make_bundle(3, use_case="letters" if damage == "other use case" else name)
    folder, digest = bundle.folder, bundle.digest
    if damage == "altered":
        (folder / "model.onnx").write_bytes(b"altered")
    elif damage == "missing":
        (folder / "golden.json").unlink()
    elif damage == "no graph":
        digest = _without_graph(folder)
    run = client.create_run(client.get_experiment_by_name(name).experiment_id)
    client.log_artifacts(run.info.run_id, str(folder), "bundle")
    tags = {"bundle_digest": "0" * 64 if damage == "other digest" else digest} if damage != "no digest" else {}
    source = f"{run.info.artifact_uri}/bundle"
    return client.create_model_version(name, source, run.info.run_id, tags=tags, await_creation_for=None).version


def _without_graph(folder):
    from noria.core.model.bundle import MANIFEST, Manifest
    from noria.io.bundle_files import write_bundle

    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    return write_bundle(folder, manifest, {"model.onnx": b"not a graph"})


def test_two_processes_fetch_at_once_into_one_folder(restart, settings, name, registry, register):
    version, bundle = register(1)
    registry.set_champion(name, version)
    replicas = [restart() for _ in range(3)]
    barrier = threading.Barrier(3)

    def refresh(replica):
        barrier.wait()
        replica.source.refresh()

    threads = [threading.Thread(target=refresh, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [serves(replica, name)[:2] for replica in replicas] == [(version, bundle.digest)] * 3
    assert [path.name for path in (settings.serving_state / "bundles" / name).iterdir()] == [bundle.digest]


def test_promotions_under_load_fail_no_request(settings, mlflow_url, name, registry, register, serve, eventually):
    versions = dict(register(seed) for seed in (1, 2))
    expected = {"0": 1.0} | {version: bundle.score for version, bundle in versions.items()}
    server = serve(settings.model_copy(update={"mlflow_url": mlflow_url}))
    stop, answers = threading.Event(), []

    def load():
        with httpx.Client(base_url=server.client.base_url, timeout=120) as client:
            body = {"instances": [{"weight": 3.5, "hour": 19, "depot": "north"}] * 3}
            while not stop.is_set():
                answers.append(client.post(f"/v1/{name}/predict", json=body))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for champion in ("1", "2", "1", "0", "2"):
            before = len(answers)
            eventually(lambda before=before: len(answers) >= before + 10)  # there is load when the champion changes
            registry.set_champion(name, champion)
            eventually(lambda wanted=champion: answers[-1].json()["version"] == wanted)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        version = answer.json()["version"]
        for prediction in answer.json()["predictions"]:
            assert prediction["version"] == version
            assert prediction["score"] == pytest.approx(expected[version], abs=1e-6)
    assert {answer.json()["version"] for answer in answers} == {"0", "1", "2"}


def test_mlflow_really_stops_and_comes_back(
    settings, mlflow_url, postgres, tmp_path, name, make_bundle, serve, eventually, unused_port
):
    # on the tables of the shared server, which are there already: making them takes ten seconds
    own = _OwnMlflow(tmp_path / "mlflow", unused_port, postgres.url("mlflow_tests"))
    own.start(eventually)
    try:
        registry = MlflowRegistry(own.url)
        for seed in (1, 2):
            bundle = make_bundle(seed, use_case=name)
            registry.register(name, bundle.folder, bundle.digest, key=f"key-{seed}", params={}, outcome=OUTCOME)
        registry.set_champion(name, "1")
        ours = settings.model_copy(update={"mlflow_url": own.url})
        server = serve(ours)
        eventually(lambda: server.predict(name)["version"] == "1")
        own.stop()
        eventually(lambda: not server.client.get("/readyz").json()["registry"]["answers"])
        assert server.client.get("/readyz").status_code == 200
        assert [server.predict(name)["version"] for _ in range(20)] == ["1"] * 20
        server.stop()
        again = serve(ours)
        assert again.predict(name)["version"] == "1"
        assert again.client.get(f"/v1/{name}").json()["serves"]["origin"] == "disk"
        own.start(eventually)
        registry.set_champion(name, "2")
        eventually(lambda: again.predict(name)["version"] == "2")
    finally:
        own.stop()


class _OwnMlflow:
    """An MLflow server that a test may stop."""

    def __init__(self, folder, port, database):
        self.folder, self.port = folder, port
        self.database = database.replace("postgresql:", "postgresql+psycopg2:")
        self.url = f"http://127.0.0.1:{port}"
        self.process = None
        folder.mkdir()

    def start(self, eventually):
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", self.database),
            *("--serve-artifacts", "--artifacts-destination", str(self.folder / "artifacts")),
        ]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        log = self.folder / "mlflow.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | quiet, stdout=output, stderr=output, start_new_session=True
            )
        eventually(self._answers, what=log.read_text, seconds=400)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _answers(self):
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False
