"""Who serves the model, and how each is asked: the same rows, in the words that it wants."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving_parts.environments import CACHE, python_of
from benchmarks.serving_parts.model import NUMBERS, USE_CASE, Model, Row

PEERS = Path(__file__).resolve().with_name("peers")
Rows = Sequence[Row]


@dataclass(frozen=True)
class Contender:
    """A server to be measured.

    Attributes:
        name: as it is chosen by.
        label: as the table has it.
        command: starts it on a port.
        ready: path of its readiness page.
        path: where predictions are asked for.
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


def constant() -> Contender:
    """What FastAPI takes to answer anything at all."""
    return Contender(
        name="constant",
        label="FastAPI, a constant",
        command=lambda port: [sys.executable, PEERS / "constant.py", str(port)],
        ready="/readyz",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=None,
    )


def noria(variables: Mapping[str, str], key: str, workers: int = 1) -> Contender:
    """Ours, with everything on."""

    def command(port: int) -> Sequence[str | Path]:
        settings = {"NORIA_SERVING_PORT": str(port), "NORIA_SERVING_WORKERS": str(workers)}
        return ["env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "serving"]

    return Contender(
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


def mlflow(model: Model) -> Contender:
    """`mlflow models serve` of the pipeline."""
    python = python_of("mlflow")
    saved = _saved(python, "mlflow_save.py", model)

    def command(port: int) -> Sequence[str | Path]:
        where = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        return [python, "-m", "mlflow", "models", "serve", "--model-uri", saved, "--env-manager", "local", *where]

    return Contender(
        name="mlflow",
        label="mlflow models serve",
        command=command,
        ready="/ping",
        path="/invocations",
        body=lambda rows: {"dataframe_records": rows},
        scores=lambda answer: [both[1] for both in answer["predictions"]],
        variables={"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"},
    )


def mlserver(model: Model) -> Contender:
    """MLServer with its own scikit-learn runtime."""
    python = python_of("mlserver")
    saved = _saved(python, "mlserver_save.py", model)

    def command(port: int) -> Sequence[str | Path]:
        ports = (f"MLSERVER_HTTP_PORT={port}", f"MLSERVER_GRPC_PORT={port + 1}", f"MLSERVER_METRICS_PORT={port + 2}")
        return ["env", *ports, python.with_name("mlserver"), "start", saved]

    return Contender(
        name="mlserver",
        label="MLServer, pipeline",
        command=command,
        ready="/v2/models/model/ready",
        path="/v2/models/model/infer",
        body=_open_inference,
        scores=lambda answer: answer["outputs"][0]["data"][1::2],
    )


def bentoml(model: Model, kind: str) -> Contender:
    """BentoML with the pipeline or the graph."""
    python = python_of("bentoml")

    def command(port: int) -> Sequence[str | Path]:
        where = ("--host", "127.0.0.1", "--port", str(port))
        return [python, "-m", "bentoml", "serve", f"bento_{kind}:Service", *where, "--working-dir", PEERS]

    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(CACHE / "bentoml")}
    return Contender(
        name=f"bentoml-{kind}",
        label=f"BentoML, {'pipeline' if kind == 'pipeline' else 'same ONNX'}",
        command=command,
        ready="/readyz",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=list,
        variables={"MODEL_FOLDER": str(model.folder), "PATH": f"{python.parent}:{os.environ['PATH']}", **quiet},
    )


def litserve(model: Model, kind: str) -> Contender:
    """LitServe with the pipeline or the graph."""
    python = python_of("litserve")
    return Contender(
        name=f"litserve-{kind}",
        label=f"LitServe, {'pipeline' if kind == 'pipeline' else 'same ONNX'}",
        command=lambda port: [python, PEERS / "lit.py", kind, str(port)],
        ready="/health",
        path="/predict",
        body=lambda rows: {"instances": rows},
        scores=lambda answer: answer["scores"],
        variables={"MODEL_FOLDER": str(model.folder)},
    )


def _saved(python: Path, script: str, model: Model) -> Path:
    """The model in a peer's own form, made in its environment."""
    import subprocess

    into = CACHE / "saved" / script.removesuffix(".py")
    subprocess.run([python, PEERS / script, model.folder, into], check=True, cwd=PEERS)
    return into


def _open_inference(rows: Rows) -> Any:
    """A frame in the Open Inference Protocol, column by column, as MLServer turns it into one of pandas."""
    inputs = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}


def _column(name: str, values: list[Any]) -> Any:
    column = {"name": name, "shape": [len(values), 1], "data": values}
    return column | (
        {"datatype": "FP64"} if name in NUMBERS else {"datatype": "BYTES", "parameters": {"content_type": "str"}}
    )


def encoded(body: Any) -> bytes:
    """JSON, as compact as it gets."""
    return json.dumps(body, separators=(",", ":")).encode()
