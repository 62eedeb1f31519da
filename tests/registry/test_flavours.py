"""A registered version is a model for MLflow's own tools, and they give the same numbers as our predictor."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
import warnings
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import MANIFEST, MODEL
from noria.core.use_case import Task
from noria.inference.predictor import load_predictor
from noria.registry.mlflow_registry import MlflowRegistry
from noria.testing.free_ports import free_port
from noria.testing.processes import stop_group, wait_until_ready
from tests.registry.bundles import CLASSES, ENCODER, made_up_rows, model_bundle
from tests.registry.test_model_registry import a_bundle, register_trained

TASKS = (Task.BINARY_CLASSIFICATION, Task.MULTICLASS, Task.REGRESSION)
ROWS = made_up_rows(600, seed=11)
# mlflow.pyfunc warns about its own type hints when it is imported
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


@pytest.fixture
def use_case() -> str:
    return f"parcels_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def registry(mlflow_url, monkeypatch) -> MlflowRegistry:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    return MlflowRegistry(mlflow_url)


def register(registry: MlflowRegistry, folder: Path, use_case: str, task: Task) -> Path:
    bundle, digest = model_bundle(folder, use_case, task)
    registry.register(
        use_case,
        bundle,
        digest,
        key="key-1",
        params={},
        outcome=GateOutcome(passed=True, summary="good enough", judged_against="0"),
    )
    return bundle


def load(uri: str) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(uri)


def expected(bundle: Path, columns: dict[str, list[Any]]) -> pd.DataFrame:
    """What our own predictor says of every row, asked row by row as an app asks."""
    predictor = load_predictor(bundle)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    scores = predictor.score_rows(rows)
    decisions = predictor.manifest.policy.decide(scores)
    found: dict[str, Any] = {"score": scores, "decision": decisions}
    if predictor.manifest.task is Task.MULTICLASS:
        found["score"] = scores[np.arange(len(scores)), decisions]
        found["decision"] = [CLASSES[index] for index in decisions]
        found |= {f"probability_{name}": scores[:, index] for index, name in enumerate(CLASSES)}
    return pd.DataFrame(found)


@pytest.mark.parametrize("task", TASKS)
def test_pyfunc_gives_the_numbers_of_our_predictor(registry, use_case, tmp_path, task):
    bundle = register(registry, tmp_path / "a", use_case, task)
    found = load(f"models:/{use_case}/1").predict(pd.DataFrame(ROWS))
    wanted = expected(bundle, ROWS)
    pd.testing.assert_frame_equal(found, wanted, rtol=0, atol=1e-6 * max(1.0, wanted["score"].abs().max()))
    assert wanted["decision"].nunique() == {Task.MULTICLASS: 3, Task.BINARY_CLASSIFICATION: 2}.get(task, 600)


def test_the_champion_alias_is_a_model_uri(registry, use_case, tmp_path):
    bundle = register(registry, tmp_path / "a", use_case, Task.BINARY_CLASSIFICATION)
    registry.set_champion(use_case, "1")
    found = load(f"models:/{use_case}@champion").predict(pd.DataFrame(ROWS))
    np.testing.assert_allclose(found["score"], load_predictor(bundle).score_columns(ROWS), atol=1e-7)


def test_columns_may_be_absent_superfluous_in_any_order_and_wholly_missing(registry, use_case, tmp_path):
    bundle = register(registry, tmp_path / "a", use_case, Task.BINARY_CLASSIFICATION)
    frame = pd.DataFrame({"mood": ["good"], "depot": [None], "hour": [7.0], "weight": [None]}, index=[41])
    found = load(f"models:/{use_case}/1").predict(frame)
    wanted = expected(bundle, {"weight": [None], "hour": [7.0], "depot": [None], "street": [None]})
    assert found.loc[41, "score"] == pytest.approx(wanted["score"][0])


def test_mlflow_refuses_a_column_of_integers_and_mlmodel_says_so(registry, use_case, tmp_path):
    bundle = register(registry, tmp_path / "a", use_case, Task.REGRESSION)
    model = load(f"models:/{use_case}/1")
    assert "cast it to float64" in model.metadata.metadata["numbers"]
    frame = pd.DataFrame({"hour": [7]})
    with pytest.raises(Exception, match="Can not safely convert"):
        model.predict(frame)
    wanted = expected(bundle, {"weight": [None], "hour": [7.0], "depot": [None], "street": [None]})
    assert model.predict(frame.astype(float))["score"][0] == pytest.approx(wanted["score"][0])


def test_a_rule_is_a_python_function_and_no_onnx_graph(registry, use_case, tmp_path):
    register_trained(registry, tmp_path / "a", use_case, "key-1", "hour >= 18")
    model = load(f"models:/{use_case}/1")
    assert model.predict(pd.DataFrame({"hour": [17.0, 18.0, None]}))["decision"].tolist() == [False, True, False]
    assert set(model.metadata.flavors) == {"python_function"}


def test_version_0_is_a_model_of_its_run(registry, use_case, tmp_path):
    version = registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    assert load(f"runs:/{version.run_id}/bundle").predict(pd.DataFrame({"hour": [18.0]}))["score"].tolist() == [1.0]


@pytest.mark.parametrize("task", TASKS)
def test_mlmodel_says_what_goes_in_and_what_comes_out(registry, use_case, tmp_path, task):
    register(registry, tmp_path / "a", use_case, task)
    described = load(f"models:/{use_case}/1").metadata
    inputs = {column.name: (column.type.name, column.required) for column in described.get_input_schema()}
    assert inputs == {
        "weight": ("double", False),
        "hour": ("double", True),
        "depot": ("string", False),
        "street": ("string", False),
    }
    outputs = {column.name: column.type.name for column in described.get_output_schema()}
    kind = {Task.MULTICLASS: "string", Task.REGRESSION: "double"}.get(task, "boolean")
    probabilities = {f"probability_{name}": "double" for name in CLASSES} if task is Task.MULTICLASS else {}
    assert outputs == {"score": "double", "decision": kind} | probabilities
    assert described.metadata["bundle_digest"] == registry.version(use_case, "1").bundle_digest
    assert "encoder in bundle.json" in described.metadata["onnx_input"]


def test_the_example_of_mlmodel_is_a_request_that_works(registry, use_case, tmp_path):
    bundle = register(registry, tmp_path / "a", use_case, Task.REGRESSION)
    model = load(f"models:/{use_case}/1")
    example = model.input_example
    assert example.to_dict("records") == [{"weight": 2.5, "hour": 9.0, "depot": "north", "street": "street 1"}]
    wanted = expected(bundle, {name: example[name].tolist() for name in example})
    assert model.predict(example)["score"].tolist() == pytest.approx(wanted["score"].tolist())


def test_onnx_is_the_graph_that_takes_the_encoded_matrix(registry, use_case, tmp_path):
    import onnxruntime

    bundle = register(registry, tmp_path / "a", use_case, Task.MULTICLASS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # mlflow.pyfunc, which mlflow.onnx imports, about its own type hints
        import mlflow.onnx
    graph = mlflow.onnx.load_model(f"models:/{use_case}/1").SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run([session.get_outputs()[-1].name], {session.get_inputs()[0].name: ENCODER.encode_columns(ROWS)})
    np.testing.assert_allclose(found, load_predictor(bundle).score_columns(ROWS), atol=1e-6)


def test_requirements_are_pinned_to_what_is_installed_and_name_no_index(registry, client_files, use_case, tmp_path):
    register(registry, tmp_path / "a", use_case, Task.BINARY_CLASSIFICATION)
    folder = client_files(registry.version(use_case, "1").run_id)
    lines = (folder / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins.keys() == {"mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pydantic", "pyyaml"}
    assert all(installed(name) == pin for name, pin in pins.items())
    assert (folder / "python_env.yaml").exists()


def test_the_sealed_bundle_is_what_it_was(registry, client_files, use_case, tmp_path):
    bundle = register(registry, tmp_path / "a", use_case, Task.BINARY_CLASSIFICATION)
    assert {path.name for path in bundle.iterdir()} == {MANIFEST, MODEL, "golden.json"}
    version = registry.version(use_case, "1")
    stored = client_files(version.run_id)
    assert (stored / "MLmodel").exists()
    assert load_predictor(stored, version.bundle_digest).manifest == load_predictor(bundle).manifest
    cached = registry.download(version, tmp_path / "cache")
    assert {path.name for path in cached.iterdir()} == {MANIFEST, MODEL, "golden.json"}


def test_what_lies_in_the_bundle_folder_beside_the_sealed_files_stays_behind(registry, client_files, use_case, tmp_path):
    bundle, digest = model_bundle(tmp_path / "a", use_case, Task.REGRESSION)
    (bundle / "notes.txt").write_text("mine")
    version = registry.register(
        use_case, bundle, digest, key="key-1", params={}, outcome=GateOutcome(passed=True, summary="", judged_against="0")
    )
    assert not (client_files(version.run_id) / "notes.txt").exists()


def test_mlflow_refuses_a_stored_bundle_that_was_altered(registry, client, use_case, tmp_path):
    register(registry, tmp_path / "a", use_case, Task.BINARY_CLASSIFICATION)
    forged = tmp_path / MODEL
    forged.write_bytes(b"something else")
    client.log_artifact(registry.version(use_case, "1").run_id, str(forged), "bundle")
    with pytest.raises(Exception, match="the manifest says"):
        load(f"models:/{use_case}/1")


def test_mlflow_models_serve_answers_with_the_same_numbers(registry, mlflow_url, use_case, tmp_path):
    """A real scoring server; most of the time is its start."""
    bundle = register(registry, tmp_path / "a", use_case, Task.MULTICLASS)
    columns = {name: values[:500] for name, values in ROWS.items()}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{use_case}/1"),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow looks for uvicorn there
        settings = {"MLFLOW_TRACKING_URI": mlflow_url, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
        environment = os.environ | settings
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_ready(process, port, "/health", log)
        answer = _post(f"http://127.0.0.1:{port}/invocations", {"dataframe_records": records})
        bare = {"dataframe_records": [{"hour": 7, "weight": None}]}  # an integer, nothing but null, columns left out
        single = _post(f"http://127.0.0.1:{port}/invocations", bare)
    finally:
        stop_group(process)
    pd.testing.assert_frame_equal(pd.DataFrame(answer["predictions"]), expected(bundle, columns), rtol=0, atol=1e-6)
    wanted = expected(bundle, {"weight": [None], "hour": [7.0], "depot": [None], "street": [None]})
    pd.testing.assert_frame_equal(pd.DataFrame(single["predictions"]), wanted, rtol=0, atol=1e-6)


@pytest.fixture
def client(mlflow_url) -> Any:
    import mlflow

    return mlflow.MlflowClient(mlflow_url, mlflow_url)


@pytest.fixture
def client_files(client, tmp_path):
    """Fetches everything that the registry has in a version's bundle folder."""

    def fetch(run_id: str) -> Path:
        into = tmp_path / "stored"
        into.mkdir()
        return Path(client.download_artifacts(run_id, "bundle", str(into)))

    return fetch


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return json.loads(response.read())
