"""Everything that serving works with, real and to be broken: PostgreSQL, MLflow, versions, a key, and serving itself."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import psycopg
from pydantic import SecretStr

from benchmarks.chaos.app_load import RequestRecord
from benchmarks.chaos.bundles import Behaviour, make_bundle
from benchmarks.chaos.outcome import StoredPredictions
from benchmarks.shared.folders import PROJECT
from benchmarks.shared.servers import Servers, temporary_servers
from noria.bootstrap import Services, bootstrap
from noria.core.base.api_key import Scope
from noria.core.base.results import VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome
from noria.data.migrations.schema import migrate
from noria.jobs import release, training
from noria.jobs.access import create_key
from noria.settings import Settings
from noria.testing.builders import write_use_case
from noria.testing.free_ports import free_port
from noria.testing.processes import status_of, stop_group, wait_until_ready
from noria.testing.waiting import wait_until

ACTOR = "chaos"
PARCELS, ROLLED_OUT = "parcels", "rolled_out"
"""A use case whose versions become champion at once, and one whose versions are rolled out step by step."""
_POLL_SECONDS = 0.5
_READY_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class ServingStack:
    """The servers that serving depends on, and the jobs that promote.

    Attributes:
        servers: PostgreSQL and MLflow.
        services: of the jobs.
        key: an API key that may ask for predictions of both use cases.
    """

    servers: Servers
    services: Services
    key: str

    def register(self, use_case: str, number: int, behaviour: Behaviour = Behaviour.GOOD) -> VersionRef:
        """Register a new version that passed its gates against the present champion."""
        folder = self.servers.root / "bundles" / f"{use_case}-{number}"
        digest = make_bundle(folder, use_case, number, behaviour)
        outcome = GateOutcome(passed=True, summary="roc_auc 0.70", judged_against=self.champion(use_case))
        made = self.services.registry.register(use_case, folder, digest, key=f"key-{number}", params={}, outcome=outcome)
        return self.candidate(use_case, made.version)

    def candidate(self, use_case: str, version: str) -> VersionRef:
        """A version as a promotion takes it, as if it had just passed its gates."""
        found = self.services.registry.version(use_case, version)
        return VersionRef(
            version=found.version,
            bundle_digest=found.bundle_digest,
            run_id=found.run_id,
            passed=True,
            summary="roc_auc 0.70",
            champion=self.champion(use_case),
        )

    def champion(self, use_case: str) -> str:
        """The champion's version number in the registry."""
        return self.services.registry.alias_state(use_case).champion

    def promote(self, use_case: str, version: str) -> None:
        """Promote as `noria promote` does."""
        candidate = self.candidate(use_case, version)
        release.promote(
            self.services,
            self.services.use_case(use_case),
            PromotionRequest(candidate, actor=ACTOR, allow_retired=True, reason="chaos"),
        )

    def roll_back(self, use_case: str) -> str:
        """Roll back as `noria roll-back` does; returns the version that is champion afterwards."""
        result = release.roll_back(self.services, self.services.use_case(use_case), actor=ACTOR, reason="chaos")
        return str(result.version)

    def damage(self, use_case: str, version: str) -> None:
        """Change a byte of a version's graph where MLflow keeps it."""
        run_id = self.services.registry.version(use_case, version).run_id
        (path,) = (self.servers.root / "mlflow" / "artifacts").glob(f"*/{run_id}/artifacts/bundle/model.onnx")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)

    def stored(
        self, requests: Sequence[RequestRecord], rows: int = 1, seconds: float = 90
    ) -> tuple[StoredPredictions, float]:
        """Compare the acknowledged predictions with the table, once it has all of them or the time is over.

        Args:
            requests: of one fault.
            rows: instances in each request.
            seconds: the longest wait.

        Returns:
            The comparison, and the seconds that it waited.
        """
        acknowledged = {identifier for request in requests for identifier, _ in request.predictions}
        name, started = requests[0].request_id.split("-")[0] if requests else "", time.monotonic()
        with suppress(TimeoutError):
            wait_until(lambda: acknowledged <= self._rows_of(name, rows)[0], seconds=seconds, pause=0.25)
        waited = time.monotonic() - started
        ids, twice = self._rows_of(name, rows)
        return StoredPredictions(len(acknowledged), len(acknowledged - ids), twice), waited

    def _rows_of(self, name: str, rows: int) -> tuple[set[str], int]:
        query = (
            "select request_id, array_agg(id::text) from ops.predictions "
            "where request_id like %s and alias <> 'shadow' group by request_id"
        )
        with psycopg.connect(self.servers.warehouse_url) as connection:
            found = connection.execute(query, (f"{name}-%",)).fetchall()
        ids = {identifier for _, identifiers in found for identifier in identifiers}
        return ids, sum(len(identifiers) > rows for _, identifiers in found)


class ServingProcess:
    """`python -m serving` with workers.

    Args:
        stack: that it works with.
        name: of its log and its state.
        workers: number of processes that answer.
        settings: variables of its environment, beside the usual ones.
    """

    def __init__(self, stack: ServingStack, name: str, *, workers: int = 2, settings: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.log = stack.servers.root / f"{name}.log"
        self._environment = {
            **os.environ,
            "NORIA_HOME": str(stack.servers.root / name),
            "NORIA_USE_CASES": str(stack.services.settings.use_cases),
            "NORIA_WAREHOUSE_URL": stack.servers.warehouse_url,
            "NORIA_MLFLOW_URL": stack.servers.mlflow.url,
            "NORIA_SERVING_PORT": str(self.port),
            "NORIA_SERVING_WORKERS": str(workers),
            "NORIA_SERVING_POLL_SECONDS": str(_POLL_SECONDS),
            "NORIA_SERVING_ACCESS": "keys",
            "OMP_NUM_THREADS": "1",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServingProcess:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving"],
                cwd=PROJECT,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        assert self._process is not None
        living = []
        for child in psutil.Process(self._process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it ended since the list was read
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append(child.pid)
        return living

    def status(self, path: str) -> int:
        """HTTP status of a page, requested on a connection of its own; 0 where there is no answer."""
        return status_of(self.port, path)

    def wait_until_ready(self) -> None:
        """Wait until its readiness page answers with 200."""
        assert self._process is not None
        wait_until_ready(self._process, self.port, "/readyz", self.log, seconds=_READY_SECONDS, pause=0.05)

    def replace_worker(self) -> None:
        """Kill a worker with SIGKILL; returns when another one has taken its place."""
        before = self.workers
        os.kill(before[0], signal.SIGKILL)
        wait_until(
            lambda: before[0] not in (living := self.workers) and len(living) >= len(before), "a new worker", pause=0.01
        )

    def _end(self) -> None:
        if self._process is not None:
            stop_group(self._process, seconds=60)


@contextmanager
def serving_stack() -> Iterator[ServingStack]:
    """All servers but serving, with two use cases and a champion of each; removed at the end of the block."""
    with temporary_servers("chaos") as servers:
        yield _make(servers)


def _make(servers: Servers) -> ServingStack:
    use_cases = servers.root / "use_cases"
    write_use_case(use_cases, name=PARCELS)
    guard = {"error_rate": 0.01, "p99_ms": 50}
    write_use_case(use_cases, name=ROLLED_OUT, rollout={"steps": [50, 100], "bake": "1h", "guard": guard})
    url = SecretStr(servers.warehouse_url)
    logging.getLogger("noria").setLevel(logging.CRITICAL)  # no mail server runs here, and that is no fault
    services = bootstrap(
        Settings(home=servers.root / "jobs", use_cases=use_cases, warehouse_url=url, mlflow_url=servers.mlflow.url)
    )
    migrate(services.database)
    for name in (PARCELS, ROLLED_OUT):
        training.ensure_baseline(services, services.use_case(name))
    issued = create_key(services, name=ACTOR, use_cases=[PARCELS, ROLLED_OUT], scopes=[Scope.PREDICT], actor=ACTOR)
    stack = ServingStack(servers, services, issued.secret.text)
    for name in (PARCELS, ROLLED_OUT):
        stack.promote(name, stack.register(name, 1).version)
    return stack
