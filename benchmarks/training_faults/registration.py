"""Kills from the fit to the registered version: at the files on disk, and between any two writes to MLflow."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from benchmarks.training_faults.finding import Finding
from benchmarks.training_faults.job_process import JobProcess, run_job
from benchmarks.training_faults.mlflow_proxy import MlflowProxy
from benchmarks.training_faults.sandbox import Sandbox
from noria.core.base.results import SnapshotRef, VersionRef
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import specification_digest
from noria.testing.waiting import wait_until

_JOB = "fit_and_register"
_JOB_SECONDS = 600.0
MOMENTS = {
    "training-{}/golden.json": "the job, with half of the bundle's files written",
    "training-{}/bundle.json": "the job, just before the bundle is sealed",
    "evidence-{}/card.json": "the job, just after the bundle is sealed",
    "evidence-{}/evaluation.html": "the job, with half of the evidence written",
}
"""A file that the job is about to write, and the moment of the kill in words."""


def killed_at_file(sandbox: Sandbox, name: str, snapshot: str, file: str) -> Finding:
    """The file is a pipe without a reader, so the job waits at exactly that moment; then it is killed."""
    forget(sandbox, name)
    pipe = sandbox.services.settings.bundles / name / file.format(_key(sandbox, name, snapshot))
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o666)
    process = JobProcess(sandbox.environment, name, _JOB, snapshot)
    hit = process.kill_when(_waits_for_reader(process))
    seconds = time.monotonic() - process.started
    pipe.unlink()
    broken = [] if hit else [f"the job ended before it was killed: {process.error}"]
    broken += ["the killed job registered a version"] if sandbox.versions(name) else []
    stage = "evidence" if "evidence" in file else "fit"
    return retried(sandbox, name, snapshot, stage=stage, killed=MOMENTS[file], seconds=[seconds], broken=broken)


def writes_of(sandbox: Sandbox, name: str, snapshot: str) -> list[str]:
    """The writes of an undisturbed training to MLflow, in order."""
    forget(sandbox, name)
    sandbox.proxy.watch()
    run_job(sandbox.environment, name, _JOB, snapshot)
    return list(sandbox.proxy.writes)


def killed_between_writes(sandbox: Sandbox, name: str, snapshot: str, moments: Iterable[int]) -> Finding:
    """Killed when MLflow has done so many of the job's writes, and the job has no answer to the last one."""
    seconds: list[float] = []
    broken: list[str] = []
    for moment in moments:
        forget(sandbox, name)
        process = kill_after(sandbox.proxy, moment, lambda: JobProcess(sandbox.environment, name, _JOB, snapshot))
        last = sandbox.proxy.writes[-1] if sandbox.proxy.writes else "nothing"
        seconds.append(time.monotonic() - process.started)
        broken += [] if process.result is None else [f"the job ended after {last}"]
        found = retried(sandbox, name, snapshot)
        broken += [f"killed after {last}: {words}" for words in found.broken]
    killed = "the job, between any two writes to MLflow"
    return retried(sandbox, name, snapshot, killed=killed, seconds=seconds, broken=broken)


def champion_moved_meanwhile(sandbox: Sandbox) -> Finding:
    """Killed when the run is complete without its version; another version becomes champion; then the retry.

    The retry is evaluated against that champion, so its bundle differs from that of the killed job's run.
    """
    name = sandbox.a_use_case("overtaken")
    snapshot = sandbox.searched(name)
    writes = writes_of(sandbox, name, snapshot)
    forget(sandbox, name)
    process = kill_after(sandbox.proxy, len(writes) - 1, lambda: JobProcess(sandbox.environment, name, _JOB, snapshot))
    seconds = time.monotonic() - process.started
    sandbox.proxy.watch()
    _another_champion(sandbox, name, snapshot)
    candidate = VersionRef.model_validate_json(run_job(sandbox.environment, name, _JOB, snapshot))
    versions = [version for version in sandbox.versions(name) if version.key != "another"]
    broken = [] if process.result is None else ["the job ended before it was killed"]
    broken += [] if len(versions) == 1 else [f"{len(versions)} versions were registered"]
    broken += (
        []
        if all(map(sandbox.is_complete, versions))
        else [f"version {candidate.version} cannot be downloaded: it is damaged"]
    )
    killed = "the job, before its version; then another model became champion"
    retry = "judged again, against the new champion"
    return Finding("registration", killed, 1, None, seconds, retry, (len(versions),), None, tuple(broken))


def _another_champion(sandbox: Sandbox, name: str, snapshot: str) -> None:
    registry, folder = sandbox.services.registry, sandbox.environment.home / "undisturbed" / name
    digest = sandbox.undisturbed_bundle(name, snapshot)
    outcome = GateOutcome(passed=True, summary="another one", judged_against="0")
    registry.set_champion(name, registry.register(name, folder, digest, key="another", params={}, outcome=outcome).version)


def mlflow_killed(
    sandbox: Sandbox, kill: Callable[[], None], start: Callable[[], None], name: str, snapshot: str
) -> Finding:
    """MLflow is killed with half of a file sent, and started again before the retry."""
    broken: list[str] = []
    seconds: list[float] = []
    at = writes_of(sandbox, name, snapshot).index("file model.onnx")
    for half in (True, False):
        forget(sandbox, name)
        sandbox.proxy.watch(at, kill, half=half)
        process = JobProcess(sandbox.environment, name, _JOB, snapshot)
        broken += [] if process.wait() is None else ["the job did not notice"]
        broken += [] if "MLflow does not answer" in process.error else [f"the error does not say so: {process.error[-300:]}"]
        seconds.append(time.monotonic() - process.started)
        start()
        found = retried(sandbox, name, snapshot)
        broken += found.broken
    killed = "MLflow, with half of a file sent, and after a file"
    return retried(sandbox, name, snapshot, killed=killed, seconds=seconds, broken=broken)


def baseline_killed(sandbox: Sandbox) -> Finding:
    """The baseline, killed between any two writes to MLflow."""
    sandbox.proxy.watch()
    run_job(sandbox.environment, sandbox.a_use_case("rule"), "baseline")
    seconds: list[float] = []
    broken: list[str] = []
    for moment in range(len(sandbox.proxy.writes) + 1):
        name = sandbox.a_use_case("rule")
        process = kill_after(sandbox.proxy, moment, lambda name=name: JobProcess(sandbox.environment, name, "baseline"))  # type: ignore[misc]
        seconds.append(time.monotonic() - process.started)
        sandbox.proxy.watch()
        digests = {run_job(sandbox.environment, name, "baseline") for _ in range(2)}
        version, runs = sandbox.services.registry.version(name, "0"), finished_runs(sandbox, name)
        good = sandbox.is_complete(version) and digests == {version.bundle_digest} and len(runs) == 1
        broken += [] if good else [f"after {moment} writes: {len(runs)} runs, {len(digests)} digests"]
    killed = "the job, between any two writes to MLflow"
    return Finding("baseline", killed, len(seconds), None, max(seconds), "registered it", None, not broken, tuple(broken))


def retried(
    sandbox: Sandbox,
    name: str,
    snapshot: str,
    *,
    stage: str = "registration",
    killed: str = "",
    seconds: Sequence[float] = (0.0,),
    broken: Sequence[str] = (),
) -> Finding:
    """Run the job again, twice, and check what is in the registry."""
    sandbox.proxy.watch()
    results = {run_job(sandbox.environment, name, _JOB, snapshot) for _ in range(2)}
    versions, runs = sandbox.versions(name), finished_runs(sandbox, name)
    same = [version.bundle_digest for version in versions] == [sandbox.undisturbed_bundle(name, snapshot)]
    broken = [
        *broken,
        *([] if len(versions) == len(runs) == 1 else [f"{len(versions)} versions and {len(runs)} finished runs"]),
        *([] if len(results) == 1 else ["a second retry gave another result"]),
        *([] if all(map(sandbox.is_complete, versions)) else ["the version cannot be downloaded"]),
        *([] if same else ["the bundle is not that of an undisturbed run"]),
    ]
    retry = "fitted again, to the same bytes; registered once"
    return Finding(stage, killed, len(seconds), None, max(seconds), retry, (len(versions),), same, tuple(broken))


def kill_after(proxy: MlflowProxy, moment: int, start: Callable[[], JobProcess]) -> JobProcess:
    """Start a job and kill it when MLflow has done so many of its writes; returns it when it has ended."""
    begun: list[JobProcess] = []
    proxy.watch(moment, lambda: begun[0].kill())  # noqa: PLW0108 - there is no job yet
    begun.append(start())
    wait_until(lambda: not begun[0].is_alive, "the job has ended", seconds=_JOB_SECONDS, pause=0.01)
    return begun[0]


def forget(sandbox: Sandbox, name: str) -> None:
    """Delete trained versions, their runs and their files, so that training starts from its beginning."""
    client = _client(sandbox)
    for version in sandbox.versions(name):
        client.delete_model_version(name, version.version)
    for run in _runs(sandbox, name):
        if not run.data.tags["key"].startswith("baseline-"):
            client.delete_run(run.info.run_id)
    for path in (sandbox.services.settings.bundles / name).glob("*-*"):
        shutil.rmtree(path) if not path.name.startswith("baseline") else None


def finished_runs(sandbox: Sandbox, name: str) -> list[Any]:
    """Finished runs in MLflow; without that of the baseline where there are trained versions."""
    runs = [run for run in _runs(sandbox, name) if run.info.status == "FINISHED"]
    trained = [run for run in runs if not run.data.tags["key"].startswith("baseline-")]
    return trained or runs


def _runs(sandbox: Sandbox, name: str) -> list[Any]:
    client = _client(sandbox)
    experiment = client.get_experiment_by_name(name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _client(sandbox: Sandbox) -> MlflowClient:
    return MlflowClient(sandbox.services.settings.mlflow_url, sandbox.services.settings.mlflow_url)


def _key(sandbox: Sandbox, name: str, snapshot: str) -> str:
    digest = SnapshotRef.model_validate_json(snapshot).digest
    return f"{digest[:16]}-{specification_digest(sandbox.use_case(name))[:16]}"


def _waits_for_reader(job: JobProcess) -> Callable[[], bool]:
    """A condition: the job waits for a reader of its pipe. The kernel says so, or else it uses no CPU for a second."""
    process, seen = Path(f"/proc/{job.pid}"), [(0.0, "")]

    def condition() -> bool:
        with suppress(OSError):
            where = (process / "wchan").read_text()
            if len(where) > 1:
                return where == "wait_for_partner"
            busy = " ".join((process / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
            if busy != seen[0][1]:
                seen[0] = (time.monotonic(), busy)
            return time.monotonic() - seen[0][0] > 1
        return False

    return condition
