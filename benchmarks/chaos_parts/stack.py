"""Everything that serving works with, real and to be broken: PostgreSQL, MLflow, versions, a key, and serving itself."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos_parts.bundles import Kind, make_bundle
from benchmarks.chaos_parts.load import Answer
from benchmarks.chaos_parts.outcome import Stored
from noria.core.lifecycle.registry import GateOutcome

ACTOR = "chaos"
PARCELS, TRIED = "parcels", "tried"
"""One use case whose versions take over at once, one whose versions are rolled out."""
_POLL_SECONDS = 0.5
_PATIENCE = 120.0


@dataclass(frozen=True, eq=False)
class Stack:
    """The servers, and the jobs that promote.

    Attributes:
        root: holds everything.
        postgres: can be killed and started.
        mlflow: can be killed and started.
        services: of the jobs.
        key: may ask for predictions of both use cases.
    """

    root: Path
    postgres: Any
    mlflow: Any
    services: Any
    key: str

    def register(self, use_case: str, number: int, kind: Kind = Kind.GOOD) -> Any:
        """A new version, judged against the present champion (`noria.core.base.results.VersionRef`)."""
        folder = self.root / "bundles" / f"{use_case}-{number}"
        digest = make_bundle(folder, use_case, number, kind)
        outcome = GateOutcome(passed=True, summary="roc_auc 0.70", judged_against=self.champion(use_case))
        made = self.services.registry.register(use_case, folder, digest, key=f"key-{number}", params={}, outcome=outcome)
        return self.candidate(use_case, made.version)

    def candidate(self, use_case: str, version: str) -> Any:
        """A version as a promotion takes it, as if it had just been judged."""
        from noria.core.base.results import VersionRef

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
        """The version that the registry calls champion."""
        return str(self.services.registry.alias_state(use_case).champion)

    def promote(self, use_case: str, version: str) -> None:
        """As `noria promote` does it."""
        from noria.jobs import release

        candidate = self.candidate(use_case, version)
        release.promote(
            self.services, self.services.use_case(use_case), candidate, actor=ACTOR, returning=True, reason="chaos"
        )

    def roll_back(self, use_case: str) -> str:
        """As `noria rollback` does it; returns the version that serves then."""
        from noria.jobs import release

        result = release.roll_back(self.services, self.services.use_case(use_case), actor=ACTOR, reason="chaos")
        return str(result.version)

    def damage(self, use_case: str, version: str) -> None:
        """Change a byte of a version's graph where MLflow keeps it."""
        run_id = self.services.registry.version(use_case, version).run_id
        (path,) = (self.root / "mlflow" / "artifacts").glob(f"*/{run_id}/artifacts/bundle/model.onnx")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)

    def stored(self, answers: Sequence[Answer], rows: int = 1, seconds: float = 90) -> tuple[Stored, float]:
        """Hold what apps were told against the table, once it has everything or some time is over.

        Args:
            answers: to the requests of one fault.
            rows: instances in each request.
            seconds: to wait at most.

        Returns:
            What was found, and how long it took.
        """
        told = {identifier for answer in answers for identifier, _ in answer.predictions}
        started = time.monotonic()
        while True:
            ids, twice = self._rows_of(answers[0].request_id.split("-")[0] if answers else "", rows)
            lost = len(told - ids)
            waited = time.monotonic() - started
            if not lost or waited > seconds:
                return Stored(len(told), lost, twice), waited
            time.sleep(0.25)

    def _rows_of(self, name: str, rows: int) -> tuple[set[str], int]:
        import psycopg

        query = (
            "select request_id, array_agg(id::text) from ops.predictions "
            "where request_id like %s and alias <> 'shadow' group by request_id"
        )
        with psycopg.connect(self.postgres.url("noria")) as connection:
            found = connection.execute(query, (f"{name}-%",)).fetchall()
        ids = {identifier for _, identifiers in found for identifier in identifiers}
        return ids, sum(len(identifiers) > rows for _, identifiers in found)


class Server:
    """`python -m serving` with workers.

    Args:
        stack: what it works with.
        name: of its log and its state.
        workers: processes that answer.
        settings: of its environment, beside the usual ones.
    """

    def __init__(self, stack: Stack, name: str, *, workers: int = 2, settings: dict[str, str] | None = None) -> None:
        from benchmarks.fault_parts.world import free_port

        self.port = free_port()
        self.log = stack.root / f"{name}.log"
        self._environment = {
            **os.environ,
            "NORIA_HOME": str(stack.root / name),
            "NORIA_USE_CASES": str(stack.services.settings.use_cases),
            "NORIA_WAREHOUSE_URL": stack.postgres.url("noria"),
            "NORIA_MLFLOW_URL": stack.mlflow.url,
            "NORIA_SERVING_PORT": str(self.port),
            "NORIA_SERVING_WORKERS": str(workers),
            "NORIA_SERVING_POLL_SECONDS": str(_POLL_SECONDS),
            "NORIA_SERVING_ACCESS": "keys",
            "OMP_NUM_THREADS": "1",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving"],
                cwd=Path(__file__).resolve().parent.parent.parent,
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
        """Process ids of those that answer."""
        import psutil

        assert self._process is not None
        living = []
        for child in psutil.Process(self._process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it was just waited for
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append(child.pid)
        return living

    def status(self, path: str) -> int:
        """Status of a page, asked on a connection of its own; 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Until it says that it is."""
        deadline = time.monotonic() + _PATIENCE
        while self.status("/readyz") != 200:
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"serving does not become ready:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def kill_worker(self) -> int:
        """`kill -9` of one worker; returns its process id."""
        pid = self.workers[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def _end(self) -> None:
        if self._process is None:
            return
        for number, seconds in ((signal.SIGTERM, 60), (signal.SIGKILL, 60)):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)


@contextmanager
def stack() -> Iterator[Stack]:
    """All servers but serving, with two use cases and a champion of each; gone after the block."""
    from benchmarks.fault_parts.world import MlflowServer, free_port
    from noria.local.postgres import PostgresServer

    with tempfile.TemporaryDirectory(prefix="noria-chaos-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # PostgreSQL runs as another user where we are root
        postgres = PostgresServer(root / "postgres", free_port())
        postgres.start()  # durable: what was committed must outlive a kill
        for database in ("noria", "mlflow"):
            postgres.create_database(database)
        mlflow = MlflowServer(root / "mlflow", postgres.url("mlflow"))
        try:
            mlflow.start()
            made = _made(root, postgres, mlflow)
            yield made
        finally:
            mlflow.kill()
            postgres.stop()


def _made(root: Path, postgres: Any, mlflow: Any) -> Stack:
    from pydantic import SecretStr

    from noria.bootstrap import bootstrap
    from noria.core.base.api_key import Scope
    from noria.jobs import training
    from noria.jobs.access import create_key
    from noria.settings import Settings
    from noria.testing.builders import write_use_case

    use_cases = root / "use_cases"
    write_use_case(use_cases, name=PARCELS)
    guard = {"error_rate": 0.01, "p99_ms": 50}
    write_use_case(use_cases, name=TRIED, rollout={"steps": [50, 100], "bake": "1h", "guard": guard})
    url = SecretStr(postgres.url("noria"))
    logging.getLogger("noria").setLevel(logging.CRITICAL)  # there is nobody to mail to, and that is no fault here
    services = bootstrap(Settings(home=root / "jobs", use_cases=use_cases, warehouse_url=url, mlflow_url=mlflow.url))
    for name in (PARCELS, TRIED):
        training.ensure_baseline(services, services.use_case(name))
    issued = create_key(services, name=ACTOR, use_cases=[PARCELS, TRIED], scopes=[Scope.PREDICT], actor=ACTOR)
    made = Stack(root, postgres, mlflow, services, issued.secret.text)
    for name in (PARCELS, TRIED):
        made.promote(name, made.register(name, 1).version)
    return made
