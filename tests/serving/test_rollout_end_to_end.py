"""Real serving processes beside a registry: a bad challenger gets a few requests, and no caller sees an error."""

import hashlib
import json
import threading
from functools import cached_property

import httpx
import numpy as np
import onnx
import psycopg
import pytest
from onnx import TensorProto, helper
from pydantic import SecretStr

from noria.bootstrap import Services
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome
from noria.core.lifecycle.rollout import Rollout, RolloutResult, RolloutState
from noria.core.model.bundle import GOLDEN, MANIFEST, MODEL, GoldenRequest, Manifest, baseline_manifest
from noria.core.use_case import RolloutPolicy
from noria.inference.predictor import OnnxPredictor
from noria.io.bundle_files import write_bundle
from noria.io.clock import SystemClock
from noria.jobs import rollout as rollout_jobs
from noria.testing.builders import write_use_case
from noria.testing.fakes.mailer import RecordingMailer
from tests.serving import fake_mlflow
from tests.serving.bundles import ENCODER, INSTANCE, Bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def mlflow():
    with fake_mlflow.running() as fake:
        yield fake


@pytest.fixture
def champion(mlflow, make_bundle, name):
    mlflow.champions[name] = "1"
    return mlflow.register(name, "1", make_bundle(1, use_case=name))


def moody(folder, good: Bundle, *, breaks_above: float) -> Bundle:
    """A version that is as good as another one, but answers heavy parcels with something that is not a number."""
    manifest = Manifest.model_validate_json((good.folder / MANIFEST).read_bytes()).model_copy(update={"files": {}})
    weights = np.full((ENCODER.width, 1), 0.1, dtype=np.float32)
    constants = {
        "weights": weights,
        "limit": np.array([[breaks_above]], dtype=np.float32),
        "nothing": np.array([[0.0]], dtype=np.float32),
        "one": np.array([[1.0]], dtype=np.float32),
        "first": np.array([[1.0]] + [[0.0]] * (ENCODER.width - 1), dtype=np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["plain"]),
        helper.make_node("MatMul", ["x", "first"], ["weight"]),
        helper.make_node("Sub", ["limit", "weight"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["mood"]),
        helper.make_node("Mul", ["mood", "nothing"], ["zero_or_nan"]),
        helper.make_node("Add", ["plain", "zero_or_nan"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "moody",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, ENCODER.width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    (score,) = OnnxPredictor(manifest, model).score_rows([INSTANCE]).tolist()
    golden = [GoldenRequest(instance=INSTANCE, score=score).model_dump()]
    digest = write_bundle(folder, manifest, {MODEL: model, GOLDEN: json.dumps(golden).encode()})
    return Bundle(folder, digest, score)


def a_rollout(name, champion, challenger, **policy) -> Rollout:
    now = SystemClock().now()
    return Rollout(
        id=f"{name}/{challenger.version}/1",
        use_case=name,
        champion=champion,
        challenger=challenger,
        policy=RolloutPolicy.model_validate(policy),
        state=RolloutState.RUNNING,
        reason="",
        actor="ana",
        started_at=now,
        since=now,
        changed_at=now,
        requested_by="ana",
    )


def assigned(key: str, seed: str, share: float) -> bool:
    """The assignment, written again from the documentation."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{key}".encode()).digest()[:8], "big") < share / 100 * 2**64


def test_challenger_that_answers_nan_is_rolled_back_after_its_first_request(
    settings, serve, eventually, mlflow, champion, name, tmp_path
):
    bad = moody(tmp_path / "bad", mlflow.bundles[name]["1"], breaks_above=0.0)  # the golden parcel is light
    challenger = mlflow.register(name, "2", bad)
    mlflow.roll_out(a_rollout(name, champion, challenger, steps=[100]))
    ours = settings.model_copy(update={"mlflow_url": mlflow.url})
    servers = [serve(ours), serve(ours)]  # two processes on one folder
    for server in servers:
        eventually(lambda server=server: server.predict(name)["version"] == "2")
    heavy = [server.predict(name, weight=40.0) for server in servers]
    assert heavy[0]["version"] == "1"  # the champion answered, in the same request
    eventually(lambda: mlflow.reported(name) is not None)
    report = mlflow.reported(name)
    assert report.reason == "it gave the score nan"
    for server in servers:
        eventually(lambda server=server: server.predict(name)["version"] == "1")
        assert {server.predict(name, weight=40.0)["version"] for _ in range(20)} == {"1"}
        eventually(lambda server=server: "it gave the score nan" in server.client.get("/readyz").text)
    servers[0].stop()
    again = serve(ours)
    assert {again.predict(name)["version"] for _ in range(10)} == {"1"}


def test_no_request_fails_while_a_bad_challenger_comes_and_goes_under_load(
    settings, serve, eventually, mlflow, champion, name, tmp_path
):
    bad = moody(tmp_path / "bad", mlflow.bundles[name]["1"], breaks_above=2.0)
    challenger = mlflow.register(name, "2", bad)
    server = serve(settings.model_copy(update={"mlflow_url": mlflow.url}))
    draw, stop, answers = np.random.default_rng(1), threading.Event(), []

    def load():
        with httpx.Client(base_url=server.client.base_url, timeout=120) as client:
            while not stop.is_set():
                rows = [
                    {**INSTANCE, "weight": float(weight), "parcel_id": f"P{weight}"} for weight in draw.uniform(0, 30, 3)
                ]
                answers.append(client.post(f"/v1/{name}/predict", json={"instances": rows}))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(answers) > 20)
        mlflow.roll_out(a_rollout(name, champion, challenger, steps=[50]))
        eventually(lambda: mlflow.reported(name) is not None)
        reported = len(answers)
        eventually(lambda: len(answers) > reported + 50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in answers} == {200}
    versions = [row["version"] for answer in answers for row in answer.json()["predictions"]]
    assert set(versions[-60:]) == {"1"}
    assert all(0 <= row["score"] <= 1 for answer in answers for row in answer.json()["predictions"])


@pytest.mark.postgres
def test_logged_rows_match_the_replay_of_the_assignment(
    settings, serve, eventually, mlflow, champion, make_bundle, name, table
):
    challenger = mlflow.register(name, "2", make_bundle(2, use_case=name))
    rollout = a_rollout(name, champion, challenger, steps=[30])
    mlflow.roll_out(rollout)
    server = serve(settings.model_copy(update={"mlflow_url": mlflow.url, "warehouse_url": SecretStr(table)}))
    eventually(lambda: any(server.predict(name, parcel_id=f"warm-{row}")["version"] == "2" for row in range(20)))
    for start in range(0, 300, 50):
        rows = [{**INSTANCE, "parcel_id": f"P{row}"} if row % 5 else INSTANCE for row in range(start, start + 50)]
        assert server.client.post(f"/v1/{name}/predict", json={"instances": rows}).status_code == 200
    server.stop()
    with psycopg.connect(table) as connection:
        logged = connection.execute("select coalesce(entity, id::text), version, alias from ops.predictions").fetchall()
    logged = [row for row in logged if not row[0].startswith("warm-")]
    assert len(logged) == 300
    assert {(alias, version) for _, version, alias in logged} == {("champion", "1"), ("challenger", "2")}
    assert [alias == "challenger" for _, _, alias in logged] == [assigned(key, rollout.id, 30) for key, _, _ in logged]


@pytest.mark.postgres
def test_shadow_is_logged_and_not_returned(settings, serve, eventually, mlflow, champion, make_bundle, name, table):
    challenger = mlflow.register(name, "2", make_bundle(2, use_case=name))
    rollout = a_rollout(name, champion, challenger, shadow="10m").model_copy(update={"shadow": True})
    server = serve(settings.model_copy(update={"mlflow_url": mlflow.url, "warehouse_url": SecretStr(table)}))
    mlflow.roll_out(rollout)

    def logged():
        with psycopg.connect(table) as connection:
            return connection.execute("select entity, version, alias from ops.predictions where alias = 'shadow'").fetchall()

    eventually(lambda: server.predict(name, parcel_id="P1")["version"] == "1" and logged())
    assert set(logged()) == {("P1", "2", "shadow")}


class WithRecordedMail(Services):
    """Real services, but for the mail server."""

    @cached_property
    def mailer(self):
        return RecordingMailer(self.clock)


@pytest.mark.postgres
def test_the_whole_way_on_a_real_registry(
    settings, use_cases, mlflow_url, table, name, registry, make_bundle, serve, eventually, tmp_path
):
    """Jobs, MLflow, PostgreSQL and serving: one version takes over, the next is rolled back."""
    write_use_case(use_cases, name=name, rollout={"steps": [100], "bake": "1s", "guard": {"min_requests": 1}})
    ours = settings.model_copy(update={"mlflow_url": mlflow_url, "warehouse_url": SecretStr(table)})
    services = WithRecordedMail(ours, SystemClock())
    use_case = services.use_case(name)
    rule = tmp_path / "rule"
    registry.register_baseline(name, rule, write_bundle(rule, baseline_manifest(use_case), {GOLDEN: b"[]"}))
    good = make_bundle(1, use_case=name)
    bad = moody(tmp_path / "bad", good, breaks_above=0.0)
    server = serve(ours)

    def start(bundle: Bundle, key: str, champion: str) -> None:
        outcome = GateOutcome(passed=True, summary="roc_auc 0.71", judged_against=champion)
        version = registry.register(name, bundle.folder, bundle.digest, key=key, params={}, outcome=outcome)
        begun = rollout_jobs.start(
            services, use_case, PromotionRequest(version.reference(), actor="ana", allow_breaking=True)
        )
        assert begun is not None
        assert (begun.champion, begun.challenger, begun.share) == (champion, version.version, 100)
        eventually(lambda: server.predict(name)["version"] == version.version)

    def end() -> RolloutResult:
        found = []
        eventually(lambda: found.append(rollout_jobs.advance(services, use_case, actor="a task")) or found[-1].is_over)
        return found[-1]

    try:
        start(good, "key-1", "0")
        assert end().promoted
        assert registry.champion(name).version == "1"
        start(bad, "key-2", "1")
        assert server.predict(name, weight=40.0)["version"] == "1"
        eventually(lambda: registry.guard_report(name) is not None)
        taken = end()
        assert (taken.state, taken.reason) == (RolloutState.ROLLED_BACK, "serving rolled it back: it gave the score nan")
        assert (registry.alias_state(name).champion, registry.alias_state(name).challenger) == ("1", "0")
        eventually(
            lambda: "it gave the score nan" not in server.client.get("/readyz").text
        )  # it is over: nothing to look at
        assert services.audit.verify() > 0
    finally:
        services.warehouse.close()
