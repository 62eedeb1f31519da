"""The steps that are killed: the pipeline's own jobs, each in a process of its own, forked as Airflow forks a task.

A step is forked from a process that has loaded the libraries, as Airflow's LocalExecutor does; so a step starts in no time,
and `kill -9` hits the job and not the imports before it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from noria.testing.snapshots import START

AS_OF = START + timedelta(days=121)
ACTOR = "faults"
_LOADED = [
    *("mlflow", "optuna", "xgboost", "sklearn.linear_model", "sklearn.isotonic", "skl2onnx", "onnxruntime", "jinja2"),
    *("noria.jobs.training", "noria.data.tables.snapshots", "noria.training.search.worker", "noria.training.bundle.build"),
    *("noria.registry.mlflow_registry", "noria.release.promotion", "noria.reports.evaluation_page"),
]


@dataclass(frozen=True)
class Place:
    """Where a step finds everything."""

    home: Path
    use_cases: Path
    warehouse_url: str
    mlflow_url: str

    def services(self) -> Any:
        """Services of the step's process."""
        from pydantic import SecretStr

        from noria.bootstrap import bootstrap
        from noria.settings import Settings

        url = SecretStr(self.warehouse_url)
        return bootstrap(Settings(home=self.home, use_cases=self.use_cases, warehouse_url=url, mlflow_url=self.mlflow_url))


class Step:
    """A job in a process of its own.

    Args:
        place: where it finds everything.
        use_case: name of the use case.
        job: one of `JOBS`.
        handed: the result of the step before it, as JSON, or what else the job takes.
    """

    def __init__(self, place: Place, use_case: str, job: str, handed: str = "") -> None:
        self._out = place.home / "steps" / f"{time.time_ns()}.json"
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self._process = _context().Process(target=_run, args=(place, use_case, job, handed, self._out))
        self._process.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        """Number of its process."""
        return int(self._process.pid or 0)

    @property
    def answer(self) -> str | None:
        """The job's result as JSON; None where it was killed or failed."""
        return self._out.read_text(encoding="utf-8") if self._out.exists() else None

    @property
    def complaint(self) -> str:
        """What it failed with."""
        path = self._out.with_suffix(".error")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.join()

    def wait(self, seconds: float = 300) -> str | None:
        """The job's result as JSON, when it has ended; None where it failed or was killed."""
        self._process.join(seconds)
        if self._process.is_alive():
            self.kill()
            raise TimeoutError(f"a step did not end in {seconds:.0f} s")
        return self.answer

    def kill_when(self, seen: Callable[[], bool]) -> bool:
        """`kill -9` as soon as something is seen; False where the step ended before."""
        while self.is_alive:
            if seen():
                self.kill()
                return True
            time.sleep(0.0005)
        return False


def finished(place: Place, use_case: str, job: str, handed: str = "") -> str:
    """The result of a step that nobody kills, as JSON."""
    step = Step(place, use_case, job, handed)
    answer = step.wait()
    if answer is None:
        raise RuntimeError(f"{job} of {use_case} failed:\n{step.complaint}")
    return answer


def _context() -> ForkServerContext:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def _run(place: Place, use_case: str, job: str, handed: str, out: Path) -> None:
    import traceback

    services = place.services()
    try:
        answer = JOBS[job](services, services.use_case(use_case), handed)
    except BaseException:
        out.with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
        raise SystemExit(1) from None
    draft = out.with_suffix(".draft")
    draft.write_text(answer, encoding="utf-8")
    draft.rename(out)


def _baseline(services: Any, use_case: Any, _: str) -> str:
    from noria.jobs import training

    return str(training.ensure_baseline(services, use_case).bundle_digest)


def _snapshot(services: Any, use_case: Any, _: str) -> str:
    from noria.jobs import training

    return training.take_snapshot(services, use_case, AS_OF).model_dump_json()


def _search(services: Any, use_case: Any, handed: str) -> str:
    from noria.core.base.results import SnapshotRef
    from noria.jobs import training

    worker, _, snapshot = handed.partition(" ")
    return training.search(services, use_case, SnapshotRef.model_validate_json(snapshot), int(worker)).model_dump_json()


def _fit_and_register(services: Any, use_case: Any, handed: str) -> str:
    from noria.core.base.results import SnapshotRef
    from noria.jobs import training

    return training.fit_and_register(services, use_case, SnapshotRef.model_validate_json(handed)).model_dump_json()


def _nominate(services: Any, use_case: Any, handed: str) -> str:
    from noria.core.base.results import VersionRef
    from noria.jobs import release

    release.set_challenger(services, use_case, VersionRef.model_validate_json(handed), actor=ACTOR)
    return "{}"


def _promote(services: Any, use_case: Any, handed: str) -> str:
    from noria.core.base.results import VersionRef
    from noria.jobs import release

    candidate = VersionRef.model_validate_json(handed)
    return release.promote(services, use_case, candidate, actor=ACTOR).model_dump_json()


def _reject(services: Any, use_case: Any, handed: str) -> str:
    from noria.core.base.results import VersionRef
    from noria.jobs import release

    release.reject(services, use_case, VersionRef.model_validate_json(handed), actor=ACTOR, reason="no")
    return "{}"


def _roll_back(services: Any, use_case: Any, _: str) -> str:
    from noria.jobs import release

    return release.roll_back(services, use_case, actor=ACTOR, reason="faults").model_dump_json()


JOBS: dict[str, Callable[[Any, Any, str], str]] = {
    "baseline": _baseline,
    "snapshot": _snapshot,
    "search": _search,
    "fit_and_register": _fit_and_register,
    "nominate": _nominate,
    "promote": _promote,
    "reject": _reject,
    "roll_back": _roll_back,
}
