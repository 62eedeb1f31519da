"""The few calls of Airflow's REST API that a client of Noria needs: backfill, trigger, wait, and say why a run failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from noria.core.base.errors import NoriaError
from noria.core.base.interval import Interval, parse_instant

_OVER = frozenset({"success", "failed"})
_POLL_SECONDS = 1.0
_SIX_HOURS = 6 * 3600
_BACKFILL_PATIENCE_SECONDS = 120.0


class PipelineError(NoriaError):
    """A run failed, or did not end in time."""


class RefusalError(PipelineError):
    """Airflow refused a request; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Run:
    """One DAG run as Airflow reports it."""

    dag_id: str
    run_id: str
    state: str
    kind: str
    partition: datetime | None
    """Start of the interval that the run is about; None for a run without one."""
    conf: Mapping[str, Any]
    seconds: float

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, well or badly."""
        return self.state in _OVER


class AirflowApi:
    """A client of one Airflow API server; logs in by itself.

    Args:
        url: base URL, such as `http://127.0.0.1:8080`.
        user, password: credentials; empty where the server lets everybody on loopback in.
    """

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self.url = url.rstrip("/")
        self._credentials = {"username": user, "password": password} if user else None
        self._http = httpx.Client(base_url=self.url, timeout=60.0)
        self._expires = 0.0

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def dag_ids(self) -> frozenset[str]:
        """All DAGs that Airflow knows."""
        return frozenset(dag["dag_id"] for dag in self._call("GET", "/dags?limit=500")["dags"])

    def import_errors(self) -> tuple[str, ...]:
        """Why DAG files could not be read."""
        return tuple(error["stack_trace"] for error in self._call("GET", "/importErrors")["import_errors"])

    def backfill(
        self, dag_id: str, intervals: Sequence[Interval], *, max_active_runs: int, reprocess: str = "failed"
    ) -> None:
        """Run a DAG for past intervals. `reprocess` is none, failed or completed: which existing runs to run again.

        Airflow takes one backfill of a DAG at a time, and notices only twice a minute that one has ended.
        """
        body = {
            "dag_id": dag_id,
            "from_date": intervals[0].start.isoformat(),
            "to_date": intervals[-1].start.isoformat(),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
        }
        deadline = time.monotonic() + _BACKFILL_PATIENCE_SECONDS
        while True:
            try:
                self._call("POST", "/backfills", json=body)
            except RefusalError as error:
                if error.status != httpx.codes.CONFLICT or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any], partition_key: str | None = None) -> None:
        """Start one run; harmless when a run of that id is there."""
        body = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf), "partition_key": partition_key}
        try:
            self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        except RefusalError as error:
            if error.status != httpx.codes.CONFLICT:
                raise

    def retry(self, run: Run) -> None:
        """Run the failed tasks of a run again, and what comes after them."""
        self._call("POST", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/clear", json={"dry_run": False, "only_failed": True})

    def runs(self, dag_id: str) -> tuple[Run, ...]:
        """The latest runs of a DAG, newest first."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"]
        return tuple(_run(item) for item in found)

    def result(self, run: Run, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Result of a task; empty if it returned nothing."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        try:
            value = self._call("GET", f"{path}?map_index={map_index}&deserialize=false")["value"]
        except RefusalError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return {}
            raise
        return dict(json.loads(value) if isinstance(value, str) else value or {})

    def durations(self, run: Run) -> tuple[tuple[str, float], ...]:
        """Tasks of a run with the seconds each took; mapped tasks are there once for each map index."""
        tasks = self._call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
        return tuple((task["task_id"], task["duration"] or 0.0) for task in tasks)

    def wait(
        self,
        select: Callable[[], Iterable[Run]],
        *,
        expected: int,
        what: str,
        on_change: Callable[[Sequence[Run]], None] = lambda _runs: None,
        timeout: float = 900.0,
    ) -> tuple[Run, ...]:
        """Wait until at least `expected` of the selected runs have succeeded and none is left unfinished.

        Raises:
            PipelineError: one failed (says which task and its last words), or the time is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            runs = tuple(select())
            on_change(runs)
            for run in runs:
                if run.state == "failed":
                    raise PipelineError(f"{what}: {self.explain_failure(run)}")
            if sum(run.state == "success" for run in runs) >= expected and all(run.is_over for run in runs):
                return runs
            if time.monotonic() > deadline:
                states = ", ".join(f"{run.dag_id}/{run.run_id}: {run.state}" for run in runs) or "no run appeared"
                raise PipelineError(f"{what}: not done after {timeout:.0f} s ({states}); look at {self.url}")
            time.sleep(_POLL_SECONDS)

    def explain_failure(self, run: Run) -> str:
        """Which task of a failed run failed, and the end of its log."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        tasks = self._call("GET", path)["task_instances"]
        failed = next((task for task in tasks if task["state"] == "failed"), None)
        if failed is None:
            return f"{run.dag_id}/{run.run_id} failed without a failed task; look at {self.url}"
        log = self._call("GET", f"{path}/{failed['task_id']}/logs/{failed['try_number']}?map_index={failed['map_index']}")
        lines = [text for text in map(_log_line, log.get("content", [])) if text]
        return f"{run.dag_id}.{failed['task_id']} failed in {run.run_id}:\n" + "\n".join(f"  {line}" for line in lines[-12:])

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        if time.monotonic() >= self._expires:
            self._log_in()
        response = self._send(method, f"/api/v2{path}", **arguments)
        return dict(response.json()) if response.content else {}

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise PipelineError(f"Airflow does not answer at {self.url} ({error}); see `noria status`") from error
        if response.is_error:
            said = response.text[:500]
            raise RefusalError(f"Airflow refused {method} {path} ({response.status_code}): {said}", response.status_code)
        return response

    def _log_in(self) -> None:
        if self._credentials:
            response = self._send("POST", "/auth/token", json=self._credentials)
        else:
            response = self._send("GET", "/auth/token")
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        self._expires = time.monotonic() + _SIX_HOURS


def _run(item: Mapping[str, Any]) -> Run:
    partition = item.get("partition_date") or item.get("partition_key")
    return Run(
        dag_id=item["dag_id"],
        run_id=item["dag_run_id"],
        state=item["state"],
        kind=item["run_type"],
        partition=parse_instant(partition) if partition else None,
        conf=item.get("conf") or {},
        seconds=item.get("duration") or 0.0,
    )


def _log_line(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    text = str(entry.get("event", ""))
    details = entry.get("error_detail") or []
    return "\n  ".join(
        [text, *(f"{item.get('exc_type')}: {item.get('exc_value')}" for item in details if isinstance(item, dict))]
    )
