"""The pipeline's own jobs, each in a process that can be killed, forked as Airflow forks a task.

The process is forked from one that has imported the libraries, as Airflow's LocalExecutor does. So a job starts in
milliseconds, and SIGKILL hits the job and not the imports before it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path

from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.results import SnapshotRef, VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.use_case import UseCase
from noria.jobs import release, training
from noria.settings import Settings
from noria.testing.snapshots import START

AS_OF = START + timedelta(days=121)
ACTOR = "faults"
_PRELOADED = [
    *("mlflow", "optuna", "xgboost", "sklearn.linear_model", "sklearn.isotonic", "skl2onnx", "onnxruntime", "jinja2"),
    *("noria.jobs.training", "noria.data.tables.snapshots", "noria.training.search.worker", "noria.training.bundle.build"),
    *("noria.registry.mlflow_registry", "noria.release.promotion", "noria.reports.evaluation_page", __name__),
]


@dataclass(frozen=True)
class PipelineEnvironment:
    """Folders and servers of the pipeline.

    Attributes:
        home: Noria's home folder.
        use_cases: folder of the use cases.
        warehouse_url: `postgresql://` URL of the warehouse.
        mlflow_url: URL of MLflow, or of the proxy before it.
    """

    home: Path
    use_cases: Path
    warehouse_url: str
    mlflow_url: str

    def services(self) -> Services:
        """The services of a process; the caller closes its warehouse."""
        url = SecretStr(self.warehouse_url)
        return bootstrap(Settings(home=self.home, use_cases=self.use_cases, warehouse_url=url, mlflow_url=self.mlflow_url))


class JobProcess:
    """A job that runs in a process of its own from the moment it is made.

    Args:
        environment: folders and servers.
        use_case: name of the use case.
        job: one of `JOBS`.
        argument: the result of the job before it, as JSON, or what else the job takes.
    """

    def __init__(self, environment: PipelineEnvironment, use_case: str, job: str, argument: str = "") -> None:
        self._out = environment.home / "jobs" / f"{time.time_ns()}.json"
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self._process = _context().Process(target=_run, args=(environment, use_case, job, argument, self._out))
        self._process.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        """Process id."""
        return int(self._process.pid or 0)

    @property
    def result(self) -> str | None:
        """The job's result as JSON; None where it was killed or failed."""
        return self._out.read_text(encoding="utf-8") if self._out.exists() else None

    @property
    def error(self) -> str:
        """What it failed with."""
        path = self._out.with_suffix(".error")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.join()

    def wait(self, seconds: float = 300) -> str | None:
        """The job's result as JSON, when it has ended; None where it failed or was killed."""
        self._process.join(seconds)
        if self._process.is_alive():
            self.kill()
            raise TimeoutError(f"a job did not end in {seconds:.0f} s")
        return self.result

    def kill_when(self, condition: Callable[[], bool]) -> bool:
        """Kill it as soon as a condition is true; False where the job ended before."""
        seen = self.wait_for(condition)
        if seen:
            self.kill()
        return seen

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition is true; False where the job ended before."""
        while self.is_alive:  # no pauses of `wait_until`: the moment may last less than a millisecond
            if condition():
                return True
            time.sleep(0.0005)
        return False


def run_job(environment: PipelineEnvironment, use_case: str, job: str, argument: str = "") -> str:
    """Run a job to its end; returns its result as JSON.

    Raises:
        RuntimeError: it failed; the message has its traceback.
    """
    process = JobProcess(environment, use_case, job, argument)
    result = process.wait()
    if result is None:
        raise RuntimeError(f"{job} of {use_case} failed:\n{process.error}")
    return result


def _context() -> ForkServerContext:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _run(environment: PipelineEnvironment, use_case: str, job: str, argument: str, out: Path) -> None:
    services = environment.services()
    try:
        result = JOBS[job](services, services.use_case(use_case), argument)
    except BaseException:
        out.with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
        raise SystemExit(1) from None
    draft = out.with_suffix(".draft")
    draft.write_text(result, encoding="utf-8")
    draft.rename(out)


def _baseline(services: Services, use_case: UseCase, _: str) -> str:
    return str(training.ensure_baseline(services, use_case).bundle_digest)


def _snapshot(services: Services, use_case: UseCase, _: str) -> str:
    return training.take_snapshot(services, use_case, AS_OF).model_dump_json()


def _search(services: Services, use_case: UseCase, argument: str) -> str:
    worker, _, snapshot = argument.partition(" ")
    return training.search(services, use_case, SnapshotRef.model_validate_json(snapshot), int(worker)).model_dump_json()


def _fit_and_register(services: Services, use_case: UseCase, argument: str) -> str:
    return training.fit_and_register(services, use_case, SnapshotRef.model_validate_json(argument)).model_dump_json()


def _nominate(services: Services, use_case: UseCase, argument: str) -> str:
    release.set_challenger(services, use_case, VersionRef.model_validate_json(argument), actor=ACTOR)
    return "{}"


def _promote(services: Services, use_case: UseCase, argument: str) -> str:
    candidate = VersionRef.model_validate_json(argument)
    return release.promote(services, use_case, PromotionRequest(candidate, actor=ACTOR)).model_dump_json()


def _reject(services: Services, use_case: UseCase, argument: str) -> str:
    release.reject(services, use_case, VersionRef.model_validate_json(argument), actor=ACTOR, reason="no")
    return "{}"


def _roll_back(services: Services, use_case: UseCase, _: str) -> str:
    return release.roll_back(services, use_case, actor=ACTOR, reason="faults").model_dump_json()


JOBS: dict[str, Callable[[Services, UseCase, str], str]] = {
    "baseline": _baseline,
    "snapshot": _snapshot,
    "search": _search,
    "fit_and_register": _fit_and_register,
    "nominate": _nominate,
    "promote": _promote,
    "reject": _reject,
    "roll_back": _roll_back,
}
