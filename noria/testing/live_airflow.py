"""A real Airflow for tests: API server, DAG processor and scheduler, on free ports and a PostgreSQL of the test."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from noria.testing.waiting import wait_until

_AIRFLOW = str(Path(sys.executable).with_name("airflow"))
_OVER = {"success", "failed"}


class LiveAirflow:
    """Processes and REST calls.

    Args:
        environment: Airflow's and Noria's settings.
        folder: holds logs.
        port: of the API server.
    """

    def __init__(self, environment: dict[str, str], folder: Path, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **environment,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self._url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        }

    def start(self) -> None:
        """Start in the order that loses nothing: tasks need the execution API, which is built on its first request."""
        subprocess.run([_AIRFLOW, "db", "migrate"], env=self._environment, check=True, capture_output=True)
        self._run("api-server")
        self.wait(lambda: self._answers("/api/v2/monitor/health"), "the API server")
        self.wait(lambda: self._answers("/execution/health"), "the execution API")
        self._run("dag-processor")
        self._run("scheduler", "--skip-serve-logs")

    def stop(self) -> None:
        """Stop all processes, the scheduler first."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of a REST call."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token()}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, content, headers, method=method)  # noqa: S310  # our own address
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # our own address
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG."""
        return list(self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100")[1]["dag_runs"])

    def partitions(self, dag_id: str) -> Counter[str]:
        """How many runs of a DAG have succeeded, by partition."""
        return Counter(str(run["partition_key"]) for run in self.runs(dag_id) if run["state"] == "success")

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of each task of a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.call("GET", path)[1]["task_instances"]}

    def settle(self, *dag_ids: str) -> None:
        """Wait until every run is over and none has followed for three looks."""
        calm = 0

        def quiet() -> bool:
            nonlocal calm
            over = all(run["state"] in _OVER for dag_id in dag_ids for run in self.runs(dag_id))
            calm = calm + 1 if over else 0
            return calm > 3

        self.wait(quiet, "the runs", pause=1.0)

    def wait(self, ready: Callable[[], bool], what: str, *, pause: float = 0.5, seconds: float = 240) -> None:
        """Wait until something is so; a process that has ended, or the time being over, fails with the logs."""

        def ready_or_ended() -> bool:
            if ready():
                return True
            if ended := [process.args for process in self._processes if process.poll() is not None]:
                raise AssertionError(f"waited for {what}; ended: {ended}\n{self._logs()}")
            return False

        wait_until(ready_or_ended, lambda: f"{what}\n{self._logs()}", seconds=seconds, pause=pause)

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self._folder.glob("*.log")))

    def _run(self, *arguments: str) -> None:
        with (self._folder / f"{arguments[0]}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [_AIRFLOW, *arguments],
                    env=self._environment,
                    cwd=self._folder,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self._url + path, timeout=30) as answer:  # noqa: S310  # our own address
                return bool(answer.status == 200)
        except OSError:
            return False

    def _token(self) -> str:
        if not hasattr(self, "_bearer"):
            with urllib.request.urlopen(f"{self._url}/auth/token", timeout=30) as answer:  # noqa: S310  # our own address
                self._bearer: str = json.loads(answer.read())["access_token"]
        return self._bearer
