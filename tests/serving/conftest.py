"""Real bundles, a real server process and a real table for the tests of serving."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.io.bundle_files import read_manifest
from noria.io.clock import SystemClock
from noria.registry.mlflow_registry import MlflowRegistry
from noria.settings import Settings
from noria.testing.builders import write_use_case
from noria.testing.free_ports import free_port
from noria.testing.waiting import wait_until
from serving.http.app_services import AppServices, assemble
from serving.models.bundle_store import BundleStore, Pointer
from tests.serving import bundles
from tests.serving.bundles import INSTANCE, OUTCOME, USE_CASE, Bundle


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Makes a trained ONNX bundle of any task; another seed gives another model."""
    return partial(bundles.make_bundle, tmp_path_factory.mktemp)


@pytest.fixture
def on_disk(settings: Settings) -> Callable[[Bundle, str], None]:
    """Lets a bundle be what answered last, so that an app serves it without a registry."""

    def put(bundle: Bundle, version: str) -> None:
        manifest = read_manifest(bundle.folder, bundle.digest)
        store = BundleStore(settings.serving_state)
        shutil.copytree(bundle.folder, store.folder(manifest.use_case, bundle.digest))
        store.point(manifest.use_case, Pointer(version, bundle.digest))

    return put


@pytest.fixture
def use_cases(tmp_path: Path) -> Path:
    """A folder with one use case."""
    root = tmp_path / "use_cases"
    write_use_case(root, name=USE_CASE)
    return root


@pytest.fixture
def name(use_cases: Path) -> str:
    """A use case of its own for each test: they share one MLflow server."""
    name = f"parcels_{uuid.uuid4().hex[:8]}"
    shutil.rmtree(use_cases / "parcels")
    write_use_case(use_cases, name=name)
    return name


@pytest.fixture
def registry(mlflow_url: str) -> MlflowRegistry:
    """The registry on the session's MLflow server."""
    return MlflowRegistry(mlflow_url)


@pytest.fixture
def register(registry: MlflowRegistry, name: str, make_bundle: Callable[..., Bundle]) -> Callable[..., tuple[str, Bundle]]:
    """Registers a trained bundle as the next version."""

    def register(seed: int, **changes: Any) -> tuple[str, Bundle]:
        bundle = make_bundle(seed, use_case=name, **changes)
        version = registry.register(name, bundle.folder, bundle.digest, key=f"key-{seed}", params={}, outcome=OUTCOME)
        return version.version, bundle

    return register


@pytest.fixture
def restart(settings: Settings, mlflow_url: str) -> Iterator[Callable[..., AppServices]]:
    """Makes the services of an app, as a start does, to be asked by hand: nothing runs in the background."""
    made: list[AppServices] = []

    def restart(url: str = mlflow_url) -> AppServices:
        services = assemble(settings.model_copy(update={"mlflow_url": url}), SystemClock())
        made.append(services)
        services.source.restore()
        return services

    yield restart
    for services in made:
        services.source.stop()


@pytest.fixture
def services(restart: Callable[..., AppServices]) -> AppServices:
    """The services of an app that has just started."""
    return restart()


@pytest.fixture
def table(warehouse_url: str) -> str:
    """URL of a database with Noria's tables."""
    return warehouse_url


@pytest.fixture
def make_tables() -> Callable[[str], None]:
    """Makes Noria's tables in a database, or brings them up to date."""

    def make(url: str) -> None:
        warehouse = Warehouse(url)
        migrate(warehouse)
        warehouse.close()

    return make


@pytest.fixture
def settings(tmp_path: Path, use_cases: Path) -> Settings:
    """Settings of a server with neither registry nor database."""
    return Settings(home=tmp_path / "home", use_cases=use_cases, mlflow_url="http://127.0.0.1:9", warehouse_url="")


@dataclass
class StartedServing:
    """A serving process."""

    settings: Settings
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def predict(self, use_case: str = USE_CASE, **changes: Any) -> dict[str, Any]:
        """One prediction."""
        answer = self.client.post(f"/v1/{use_case}/predict", json={"instances": [{**INSTANCE, **changes}]})
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        return prediction

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        # uvicorn finishes its work, then dies of the signal that it was sent
        assert self.process.wait(180) == -signal.SIGTERM, self.log.read_text()
        assert "Application shutdown complete" in self.log.read_text()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Settings], StartedServing]]:
    """Starts a serving process; it is stopped after the test."""
    servers: list[StartedServing] = []

    def start(settings: Settings) -> StartedServing:
        port = free_port()
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
        server = StartedServing(settings, port, log, process)
        servers.append(server)
        wait_until(lambda: _is_alive(server), log.read_text)
        return server

    yield start
    for server in servers:
        server.client.close()
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def _is_alive(server: StartedServing) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


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
    """A port without a listener, which no other process gets by chance."""
    return free_port()
