"""Everything that faults happen in: a durable PostgreSQL, an MLflow server, both to be killed, and made-up parcels."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.fault_parts.gate import Gate, gate_before
from benchmarks.fault_parts.steps import AS_OF, Place, finished
from noria.core.lifecycle.registry import GateOutcome

ROWS = 6000


@dataclass(eq=False)
class World:
    """One place for all cases; each has a use case of its own.

    Attributes:
        place: where steps find everything.
        gate: stands before MLflow.
    """

    place: Place
    gate: Gate
    _cases: int = field(default=0, init=False)
    _undisturbed: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    @cached_property
    def services(self) -> Any:
        """Services of the one who looks on; past the gate."""
        direct = f"http://{self.gate.server[0]}:{self.gate.server[1]}"
        return Place(self.place.home, self.place.use_cases, self.place.warehouse_url, direct).services()

    def a_use_case(self, about: str, **changes: Any) -> str:
        """Write a use case; returns its name, which nobody has had before."""
        from noria.testing.builders import use_case_fields, write_use_case

        self._cases += 1
        name = f"{about}_{self._cases}"
        features = use_case_fields()["features"] | {"categorical": ["depot", "street"]}
        training = {"trials": 3, "minutes": 10, "workers": 1, "test_window": "20d", "candidates": ["linear"]}
        training |= changes.pop("training", {})
        write_use_case(self.place.use_cases, name=name, features=features, training=training, **changes)
        return name

    def use_case(self, name: str) -> Any:
        """A use case that was written."""
        return self.services.use_case(name)

    def searched(self, name: str) -> str:
        """Baseline, snapshot and search of a use case, undisturbed; returns the snapshot as JSON."""
        self.gate.on_round()
        finished(self.place, name, "baseline")
        snapshot = finished(self.place, name, "snapshot")
        finished(self.place, name, "search", f"0 {snapshot}")
        return snapshot

    def undisturbed_bundle(self, name: str, snapshot: str, best: Any = None) -> str:
        """Digest of the bundle as it comes out when nobody disturbs it; registers nothing, and is fitted once."""
        champion = self.services.registry.champion(name).version
        if best is not None:
            return self._fitted(name, snapshot, best)
        if (name, champion) not in self._undisturbed:
            self._undisturbed[name, champion] = self._fitted(name, snapshot, None)
        return self._undisturbed[name, champion]

    def _fitted(self, name: str, snapshot: str, best: Any) -> str:
        from noria.core.base.results import SnapshotRef
        from noria.jobs import training as training_jobs

        return training_jobs.fit(
            self.services,
            self.use_case(name),
            SnapshotRef.model_validate_json(snapshot),
            against=self.services.registry.champion(name),
            folder=self.place.home / "undisturbed" / name,
            best=best,
        ).digest

    def versions(self, name: str) -> tuple[Any, ...]:
        """Trained versions in the registry."""
        return tuple(self.services.registry.versions(name)[1:])

    def is_whole(self, version: Any) -> bool:
        """Whether a version can be fetched from the registry, every file as its digest says."""
        from noria.core.base.errors import RegistryError

        try:
            self.services.registry.download(version, self.place.home / "fetched")
        except RegistryError:
            return False
        return True

    def trained_twice(self, name: str) -> tuple[str, str]:
        """Two versions that kept their promises, the first one champion; both as JSON, as training hands them on.

        They share a bundle that was fitted once for all use cases: what is moved about is not looked into.
        """
        from noria.core.base.results import VersionRef
        from noria.jobs import release

        source, registry, (folder, digest) = self.use_case(name), self.services.registry, self._bundle_for_all
        found = []
        for champion, key in (("0", "one"), ("1", "another")):
            outcome = GateOutcome(passed=True, summary=f"{key} version", judged_against=champion)
            version = registry.register(name, folder, digest, key=key, params={}, outcome=outcome)
            facts = {"version": version.version, "bundle_digest": digest, "run_id": version.run_id, "passed": True}
            found.append(VersionRef(**facts, summary=outcome.summary, champion=champion))
        release.promote(self.services, source, found[0], actor="before")
        return found[0].model_dump_json(), found[1].model_dump_json()

    @cached_property
    def _bundle_for_all(self) -> tuple[Path, str]:
        name = self.a_use_case("for_all", training={"trials": 1})
        return self.place.home / "undisturbed" / name, self.undisturbed_bundle(name, self.searched(name))

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse."""
        import psycopg

        with psycopg.connect(self.place.warehouse_url) as connection:
            return connection.execute(sql, parameters).fetchall()  # type: ignore[arg-type]  # our own text


def fill(world: World, rows: int = ROWS) -> None:
    """Put features and labels of made-up parcels where dbt would have put them."""
    import pyarrow as pa

    from noria.data.postgres.warehouse import Table, append
    from noria.testing.snapshots import made_up_columns

    made_up = made_up_columns(rows)
    keys = {"parcel_id": [f"P{row}" for row in range(rows)], "promised_at": made_up["promised_at"]}
    known = made_up["promised_at"]
    features = pa.table(keys | {n: pa.array(made_up[n], from_pandas=True) for n in ("weight", "hour", "depot", "street")})
    labels = pa.table(keys | {"late": made_up["late"], "label_known_at": known})
    with world.services.warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "create schema if not exists features; create schema if not exists labels;"
            "create table features.ftr_parcels (parcel_id text, promised_at timestamptz, weight float8, hour float8, "
            "depot text, street text);"
            "create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, late boolean, "
            "label_known_at timestamptz)"
        )
        append(connection, Table("features", "ftr_parcels"), features)
        append(connection, Table("labels", "lbl_parcels"), labels)
    assert max(known) < AS_OF


class MlflowServer:
    """A real MLflow server that can be killed and started again.

    Args:
        folder: holds artifacts and log.
        database_url: PostgreSQL that holds its tables.
    """

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._store = database_url.replace("postgresql:", "postgresql+psycopg2:")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
            *("--serve-artifacts", "--artifacts-destination", str(self._folder / "artifacts")),
        ]
        settings = {
            "MLFLOW_BACKEND_STORE_URI": self._store,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        log = self._folder / "mlflow.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=os.environ | settings, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + 240
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MLflow did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """`kill -9`, with every process that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


def kill_postgres(server: Any) -> None:
    """`kill -9` of PostgreSQL and all that it started, as a lost machine would; it can be started again."""
    import psutil

    pid_file = server.data / "postmaster.pid"
    process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
    family = [process, *process.children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    for member in family:
        with suppress(psutil.NoSuchProcess):
            while member.is_running() and member.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
    pid_file.unlink()  # where nobody reaps orphans, its process would seem to run for ever


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def world_on(home: Path, warehouse_url: str, mlflow_url: str, *, rows: int = ROWS) -> Iterator[World]:
    """A world on servers that run."""
    with gate_before(mlflow_url) as gate:
        world = World(Place(home, home / "use_cases", warehouse_url, gate.url), gate)
        try:
            fill(world, rows)
            yield world
        finally:
            world.services.warehouse.close()
