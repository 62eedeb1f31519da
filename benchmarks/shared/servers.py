"""Real servers of a benchmark's own, in a temporary folder: PostgreSQL, and MLflow beside it; both can be killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from noria.local.postgres import PostgresServer
from noria.testing.free_ports import free_port
from noria.testing.mlflow_server import MlflowServer
from noria.testing.postgres import kill_postgres

WAREHOUSE, MLFLOW = "noria", "mlflow"
"""Databases of the server."""


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and MLflow, running.

    Attributes:
        root: temporary folder that holds everything.
        postgres: durable: what was committed outlives a kill.
        mlflow: stores in that PostgreSQL.
    """

    root: Path
    postgres: PostgresServer
    mlflow: MlflowServer

    @property
    def warehouse_url(self) -> str:
        """`postgresql://` URL of the warehouse."""
        return self.postgres.url(WAREHOUSE)

    def kill_postgres(self) -> None:
        """Kill PostgreSQL and all its processes with SIGKILL, as a lost machine would; it can be started again."""
        kill_postgres(self.postgres)

    def kill(self) -> None:
        """Kill both with SIGKILL."""
        self.mlflow.kill()
        self.kill_postgres()

    def start(self) -> None:
        """Start both again."""
        self.postgres.start()
        self.mlflow.start()


@contextmanager
def temporary_postgres(name: str, *, durable: bool = True) -> Iterator[tuple[Path, PostgresServer]]:
    """A PostgreSQL server that runs until the end of the block, and the temporary folder that holds it.

    Args:
        name: of the benchmark; part of the folder's name.
        durable: whether what was committed outlives a kill.
    """
    with tempfile.TemporaryDirectory(prefix=f"noria-{name}-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # PostgreSQL runs as another user when this process is root's
        postgres = PostgresServer(root / "postgres", free_port())
        postgres.start(durable=durable)
        try:
            yield root, postgres
        finally:
            postgres.stop()


@contextmanager
def temporary_servers(name: str) -> Iterator[Servers]:
    """PostgreSQL with an empty warehouse, and MLflow, until the end of the block."""
    with temporary_postgres(name) as (root, postgres):
        for database in (WAREHOUSE, MLFLOW):
            postgres.create_database(database)
        mlflow = MlflowServer(root / "mlflow", postgres.url(MLFLOW))
        try:
            mlflow.start()
            yield Servers(root, postgres, mlflow)
        finally:
            mlflow.kill()
