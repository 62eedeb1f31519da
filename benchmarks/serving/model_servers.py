"""The servers that are compared: how each is started, and how the same rows are sent to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.model import NUMBERS, USE_CASE, BenchmarkModel, FeatureRow
from benchmarks.shared.folders import CACHE
from benchmarks.shared.peer_environments import PeerEnvironments

PEERS = Path(__file__).resolve().with_name("peers")
"""Scripts that run in the environments of peers; they are started by path."""
Rows = Sequence[FeatureRow]
_CACHE = CACHE / "serving"
_PIPELINE = ("scikit-learn==1.9.1", "xgboost==3.2.0", "pandas==2.3.3", "numpy==2.4.6")
_FAST = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0")
"""The fast optional parts; all peers get them, also those that do not ask for them."""
_ENVIRONMENTS = PeerEnvironments(
    _CACHE / "environments",
    {
        "mlflow": ("mlflow==3.17.2", *_PIPELINE, *_FAST[:3]),
        "mlserver": ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", *_PIPELINE, *_FAST[:3]),
        "bentoml": ("bentoml==1.4.40", *_PIPELINE, *_FAST),
        "litserve": ("litserve==0.2.19", *_PIPELINE, *_FAST),
    },
    # XGBoost's wheel asks for a 290 MB GPU collective library that a CPU never loads.
    overrides="nvidia-nccl-cu12; sys_platform == 'never'\n",
)


@dataclass(frozen=True)
class ModelServer:
    """A server to be measured.

    Attributes:
        name: on the command line.
        label: in the table.
        command: starts it on a port.
        ready: path of its readiness page.
        path: of predictions.
        body: of a request for some rows.
        scores: probabilities of yes in an answer; None where it gives none.
        variables: of its environment.
        headers: of each request.
    """

    name: str
    label: str
    command: Callable[[int], Sequence[str | Path]]
    ready: str
    path: str
    body: Callable[[Rows], Any]
    scores: Callable[[Any], list[float]] | None
    variables: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def constant() -> ModelServer:
    """What FastAPI takes to answer anything at all."""
    return ModelServer(
        name="constant",
        label="FastAPI, a constant",
        command=lambda port: [sys.executable, PEERS / "constant.py", str(port)],
        ready="/readyz",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=None,
    )


def noria(variables: Mapping[str, str], key: str, workers: int = 1) -> ModelServer:
    """Noria, with everything on."""

    def command(port: int) -> Sequence[str | Path]:
        settings = {"NORIA_SERVING_PORT": str(port), "NORIA_SERVING_WORKERS": str(workers)}
        return ["env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "serving"]

    return ModelServer(
        name="noria",
        label="Noria",
        command=command,
        ready="/readyz",
        path=f"/v1/{USE_CASE}/predict",
        body=lambda rows: {"instances": rows},
        scores=lambda answer: [prediction["score"] for prediction in answer["predictions"]],
        variables=variables,
        headers={"Authorization": f"Bearer {key}"},
    )


def mlflow(model: BenchmarkModel) -> ModelServer:
    """`mlflow models serve` of the pipeline."""
    python = _ENVIRONMENTS.python_of("mlflow")
    saved = _saved(python, "mlflow_save.py", model)

    def command(port: int) -> Sequence[str | Path]:
        where = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        return [python, "-m", "mlflow", "models", "serve", "--model-uri", saved, "--env-manager", "local", *where]

    return ModelServer(
        name="mlflow",
        label="mlflow models serve",
        command=command,
        ready="/ping",
        path="/invocations",
        body=lambda rows: {"dataframe_records": rows},
        scores=lambda answer: [both[1] for both in answer["predictions"]],
        variables={"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"},
    )


def mlserver(model: BenchmarkModel) -> ModelServer:
    """MLServer with its own scikit-learn runtime."""
    python = _ENVIRONMENTS.python_of("mlserver")
    saved = _saved(python, "mlserver_save.py", model)

    def command(port: int) -> Sequence[str | Path]:
        ports = (f"MLSERVER_HTTP_PORT={port}", f"MLSERVER_GRPC_PORT={port + 1}", f"MLSERVER_METRICS_PORT={port + 2}")
        return ["env", *ports, python.with_name("mlserver"), "start", saved]

    return ModelServer(
        name="mlserver",
        label="MLServer, pipeline",
        command=command,
        ready="/v2/models/model/ready",
        path="/v2/models/model/infer",
        body=_open_inference,
        scores=lambda answer: answer["outputs"][0]["data"][1::2],
    )


def bentoml(model: BenchmarkModel, kind: str) -> ModelServer:
    """BentoML with the pipeline or the graph."""
    python = _ENVIRONMENTS.python_of("bentoml")

    def command(port: int) -> Sequence[str | Path]:
        where = ("--host", "127.0.0.1", "--port", str(port))
        return [python, "-m", "bentoml", "serve", f"bento_{kind}:{kind.capitalize()}Service", *where, "--working-dir", PEERS]

    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(_CACHE / "bentoml")}
    return ModelServer(
        name=f"bentoml-{kind}",
        label=f"BentoML, {'pipeline' if kind == 'pipeline' else 'same ONNX'}",
        command=command,
        ready="/readyz",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=list,
        variables={"MODEL_FOLDER": str(model.folder), "PATH": f"{python.parent}:{os.environ['PATH']}", **quiet},
    )


def litserve(model: BenchmarkModel, kind: str) -> ModelServer:
    """LitServe with the pipeline or the graph."""
    python = _ENVIRONMENTS.python_of("litserve")
    return ModelServer(
        name=f"litserve-{kind}",
        label=f"LitServe, {'pipeline' if kind == 'pipeline' else 'same ONNX'}",
        command=lambda port: [python, PEERS / "lit.py", kind, str(port)],
        ready="/health",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=lambda answer: answer["scores"],
        variables={"MODEL_FOLDER": str(model.folder)},
    )


def _saved(python: Path, script: str, model: BenchmarkModel) -> Path:
    """The model in a peer's own format, written in its environment."""
    into = _CACHE / "saved" / script.removesuffix(".py")
    subprocess.run([python, PEERS / script, model.folder, into], check=True, cwd=PEERS)
    return into


def _open_inference(rows: Rows) -> Any:
    """A frame in the Open Inference Protocol, column by column, as MLServer turns it into one of pandas."""
    inputs = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}


def _column(name: str, values: list[Any]) -> Any:
    column = {"name": name, "shape": [len(values), 1], "data": values}
    if name in NUMBERS:
        return column | {"datatype": "FP64"}
    return column | {"datatype": "BYTES", "parameters": {"content_type": "str"}}


def to_json(body: Any) -> bytes:
    """JSON, as compact as it gets."""
    return json.dumps(body, separators=(",", ":")).encode()
