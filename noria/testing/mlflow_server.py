"""A real MLflow server on PostgreSQL that can be stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from noria.testing.free_ports import free_port
from noria.testing.processes import signal_group, stop_group, wait_until_ready


class MlflowServer:
    """One server on one port, with proxied artifacts.

    Args:
        folder: holds artifacts and log.
        database_url: `postgresql://` URL of the database that holds its tables.
    """

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._store = database_url.replace("postgresql:", "postgresql+psycopg2:")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and wait until it answers.

        Raises:
            ProcessEndedError, TimeoutError: it does not become ready; the message has the end of its log.
        """
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
        wait_until_ready(self._process, self._port, "/health", log)

    def stop(self) -> None:
        """Ask it to end, then kill what is left of it; harmless when it does not run."""
        if self._process is not None:
            stop_group(self._process)

    def kill(self) -> None:
        """Kill it and every process that it started with SIGKILL; harmless when it does not run."""
        if self._process is not None:
            signal_group(self._process, signal.SIGKILL)
            self._process.wait()
