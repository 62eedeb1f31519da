"""Real bundles, a real server process and a real table for the tests of serving."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest

from noria.core.bundle import GOLDEN, MODEL, Manifest, Provenance, write_bundle
from noria.core.encoder import Encoder, NumericColumn, OneHotColumn
from noria.core.signature import Field, Kind, Signature
from noria.settings import Settings
from noria.testing.builders import write_use_case

USE_CASE = "parcels"
DEPOTS = ("north", "south")


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, and what it must answer for the instance below."""

    folder: Path
    digest: str
    score: float


INSTANCE = {"weight": 3.5, "hour": 19, "depot": "north"}


def _train(seed: int) -> tuple[Encoder, bytes]:
    """A logistic regression on random data; each seed gives another one."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    encoder = Encoder(
        columns=(
            NumericColumn(name="weight", center=10, scale=5, missing=0.0),
            NumericColumn(name="hour", center=12, scale=6, missing=0.0),
            OneHotColumn(name="depot", categories=DEPOTS),
        )
    )
    random = np.random.default_rng(seed)
    features = random.normal(size=(400, encoder.width)).astype(np.float32)
    target = (features @ random.normal(size=encoder.width) + random.normal(size=400)) > 0
    model = LogisticRegression().fit(features, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own, about its dependencies
        graph = to_onnx(model, features[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    return encoder, graph.SerializeToString()


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Makes a trained ONNX bundle; another seed gives another model."""

    def make(seed: int, *, use_case: str = USE_CASE, golden_score: float | None = None, as_of: int = 1) -> Bundle:
        from noria.inference.predictor import OnnxPredictor

        encoder, graph = _train(seed)
        manifest = Manifest(
            use_case=use_case,
            kind="onnx",
            candidate="linear",
            signature=Signature(
                fields=(
                    Field(
                        name="weight", kind=Kind.NUMERIC, unit="kg", description="Weight", minimum=0, maximum=70, example=3.5
                    ),
                    Field(name="hour", kind=Kind.NUMERIC, required=True, minimum=0, maximum=23, example=19),
                    Field(name="depot", kind=Kind.CATEGORICAL, categories=DEPOTS, example="north"),
                )
            ),
            threshold=0.4,
            encoder=encoder,
            provenance=Provenance(
                as_of=datetime(2024, 5, as_of, tzinfo=UTC), snapshot="5" * 64, specification="6" * 64, seed=7
            ),
            metrics={"roc_auc": 0.71},
        )
        (score,) = OnnxPredictor(manifest, graph).score_rows([INSTANCE]).tolist()
        golden = [{"instance": INSTANCE, "score": score if golden_score is None else golden_score}]
        folder = tmp_path_factory.mktemp("bundle")
        digest = write_bundle(folder, manifest, {MODEL: graph, GOLDEN: json.dumps(golden).encode()})
        return Bundle(folder, digest, score)

    return make


@pytest.fixture
def use_cases(tmp_path: Path) -> Path:
    """A folder with one use case."""
    root = tmp_path / "use_cases"
    write_use_case(root, name=USE_CASE)
    return root


@pytest.fixture
def table(database_url: str, project: Path) -> str:
    """URL of a database with Noria's tables."""
    make_tables(database_url, project)
    return database_url


def make_tables(url: str, project: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((project / "noria/data/schema.sql").read_text())


@pytest.fixture
def settings(tmp_path: Path, use_cases: Path) -> Settings:
    """Settings of a server with neither registry nor database."""
    return Settings(home=tmp_path / "home", use_cases=use_cases, mlflow_url="http://127.0.0.1:9", warehouse_url="")


@dataclass
class Server:
    """A serving process."""

    settings: Settings
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def predict(self, use_case: str = USE_CASE, **changes: Any) -> dict[str, Any]:
        """One prediction."""
        answer = self.client.post(f"/v1/{use_case}/predict", json={"instances": [{**INSTANCE, **changes}]})
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        return prediction

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        # uvicorn finishes its work, then dies of the signal that it was sent
        assert self.process.wait(40) == -signal.SIGTERM, self.log.read_text()
        assert "Application shutdown complete" in self.log.read_text()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Settings], Server]]:
    """Starts a serving process; it is stopped after the test."""
    servers: list[Server] = []

    def start(settings: Settings) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        environment = os.environ | {
            "NORIA_HOME": str(settings.home),
            "NORIA_USE_CASES": str(settings.use_cases),
            "NORIA_MLFLOW_URL": settings.mlflow_url,
            "NORIA_WAREHOUSE_URL": settings.warehouse_url.get_secret_value(),
            "NORIA_SERVING_PORT": str(port),
            "NORIA_SERVING_POLL_SECONDS": "0.5",
        }
        log = tmp_path / f"serving-{len(servers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, stdout=output, stderr=output)
        server = Server(settings, port, log, process)
        servers.append(server)
        wait_until(lambda: _is_alive(server), what=log.read_text)
        return server

    yield start
    for server in servers:
        server.client.close()
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def _is_alive(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], object], what: Callable[[], str] = lambda: "", seconds: float = 60) -> None:
    """Wait for something that a background thread does; the limit is for a hopeless case, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """`wait_until`, for the tests."""
    return wait_until


@pytest.fixture
def stored() -> Callable[[str], list[str]]:
    """Reads the ids in the table of a database."""

    def read(url: str) -> list[str]:
        with psycopg.connect(url) as connection:
            return [str(row[0]) for row in connection.execute("select id from ops.predictions order by id")]

    return read


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
