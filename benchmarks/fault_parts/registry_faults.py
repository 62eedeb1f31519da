"""Kills from the fit to the registered version: at the files on disk, and between any two writes to MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.fault_parts.finding import Finding
from benchmarks.fault_parts.gate import Gate
from benchmarks.fault_parts.steps import Step, finished
from benchmarks.fault_parts.world import World
from noria.core.lifecycle.registry import GateOutcome

_JOB = "fit_and_register"
MOMENTS = {
    "training-{}/golden.json": "the job, with half of the bundle's files written",
    "training-{}/bundle.json": "the job, just before the bundle is sealed",
    "evidence-{}/card.json": "the job, just after the bundle is sealed",
    "evidence-{}/evaluation.html": "the job, with half of the evidence written",
}
"""A file that the step is about to write, and what is killed there."""


def killed_at_file(world: World, name: str, snapshot: str, file: str) -> Finding:
    """The file is a pipe that nobody reads, so that the step stands still at exactly that moment; then it is killed."""
    forget(world, name)
    pipe = world.services.settings.bundles / name / file.format(_key(world, name, snapshot))
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o666)
    step = Step(world.place, name, _JOB, snapshot)
    hit = step.kill_when(_stands_still_at(step))
    seconds = time.monotonic() - step.started
    pipe.unlink()
    broken = [] if hit else [f"the step was over before it could be killed: {step.complaint}"]
    broken += ["a version was registered by a killed step"] if world.versions(name) else []
    stage = "evidence" if "evidence" in file else "fit"
    return judged(world, name, snapshot, stage=stage, killed=MOMENTS[file], seconds=[seconds], broken=broken)


def writes_of(world: World, name: str, snapshot: str) -> list[str]:
    """What a training that nobody disturbs writes to MLflow, in order."""
    forget(world, name)
    world.gate.on_round()
    finished(world.place, name, _JOB, snapshot)
    return list(world.gate.writes)


def killed_between_writes(world: World, name: str, snapshot: str, moments: Iterable[int]) -> Finding:
    """Killed when MLflow has done so many of the step's writes, and the step has not heard of the last one."""
    seconds: list[float] = []
    broken: list[str] = []
    for moment in moments:
        forget(world, name)
        step = kill_after(world.gate, moment, lambda: Step(world.place, name, _JOB, snapshot))
        last = world.gate.writes[-1] if world.gate.writes else "nothing"
        seconds.append(time.monotonic() - step.started)
        broken += [] if step.answer is None else [f"the step was over after {last}"]
        found = judged(world, name, snapshot)
        broken += [f"killed after {last}: {words}" for words in found.broken]
    killed = "the job, between any two writes to MLflow"
    return judged(world, name, snapshot, killed=killed, seconds=seconds, broken=broken)


def champion_moved_meanwhile(world: World) -> Finding:
    """Killed when the run is complete but its version is not there; another champion is made; then the retry.

    The retry judges against that champion, so its bundle is another one than the run has that the killed step left.
    """
    from noria.core.base.results import VersionRef

    name = world.a_use_case("overtaken")
    snapshot = world.searched(name)
    writes = writes_of(world, name, snapshot)
    forget(world, name)
    step = kill_after(world.gate, len(writes) - 1, lambda: Step(world.place, name, _JOB, snapshot))
    seconds = time.monotonic() - step.started
    world.gate.on_round()
    _another_champion(world, name, snapshot)
    candidate = VersionRef.model_validate_json(finished(world.place, name, _JOB, snapshot))
    versions = [version for version in world.versions(name) if version.key != "another"]
    broken = [] if step.answer is None else ["the step was over before it could be killed"]
    broken += [] if len(versions) == 1 else [f"{len(versions)} versions were registered"]
    broken += [] if all(map(world.is_whole, versions)) else [f"version {candidate.version} cannot be fetched: it is damaged"]
    killed = "the job, before its version; then another model became champion"
    retry = "judged again, against the new champion"
    return Finding("registration", killed, 1, None, seconds, retry, (len(versions),), None, tuple(broken))


def _another_champion(world: World, name: str, snapshot: str) -> None:
    registry, folder = world.services.registry, world.place.home / "undisturbed" / name
    digest = world.undisturbed_bundle(name, snapshot)
    outcome = GateOutcome(passed=True, summary="another one", judged_against="0")
    registry.set_champion(name, registry.register(name, folder, digest, key="another", params={}, outcome=outcome).version)


def mlflow_killed(world: World, kill: Callable[[], None], start: Callable[[], None], name: str, snapshot: str) -> Finding:
    """MLflow is killed with half of a file sent, and started again before the retry."""
    broken: list[str] = []
    seconds: list[float] = []
    at = writes_of(world, name, snapshot).index("file model.onnx")
    for half in (True, False):
        forget(world, name)
        world.gate.on_round(at, kill, half=half)
        step = Step(world.place, name, _JOB, snapshot)
        broken += [] if step.wait() is None else ["the step did not notice"]
        broken += (
            [] if "MLflow does not answer" in step.complaint else [f"the error does not say so: {step.complaint[-300:]}"]
        )
        seconds.append(time.monotonic() - step.started)
        start()
        found = judged(world, name, snapshot)
        broken += found.broken
    killed = "MLflow, with half of a file sent, and after a file"
    return judged(world, name, snapshot, killed=killed, seconds=seconds, broken=broken)


def baseline_killed(world: World) -> Finding:
    """Version 0, killed between any two writes to MLflow."""
    world.gate.on_round()
    finished(world.place, world.a_use_case("rule"), "baseline")
    seconds: list[float] = []
    broken: list[str] = []
    for moment in range(len(world.gate.writes) + 1):
        name = world.a_use_case("rule")
        step = kill_after(world.gate, moment, lambda name=name: Step(world.place, name, "baseline"))  # type: ignore[misc]
        seconds.append(time.monotonic() - step.started)
        world.gate.on_round()
        digests = {finished(world.place, name, "baseline") for _ in range(2)}
        version, runs = world.services.registry.version(name, "0"), finished_runs(world, name)
        good = world.is_whole(version) and digests == {version.bundle_digest} and len(runs) == 1
        broken += [] if good else [f"after {moment} writes: {len(runs)} runs, {len(digests)} digests"]
    killed = "the job, between any two writes to MLflow"
    return Finding("baseline", killed, len(seconds), None, max(seconds), "registered it", None, not broken, tuple(broken))


def judged(
    world: World,
    name: str,
    snapshot: str,
    *,
    stage: str = "registration",
    killed: str = "",
    seconds: Sequence[float] = (0.0,),
    broken: Sequence[str] = (),
) -> Finding:
    """Run the step again, twice, and look at what is in the registry."""
    world.gate.on_round()
    answers = {finished(world.place, name, _JOB, snapshot) for _ in range(2)}
    versions, runs = world.versions(name), finished_runs(world, name)
    same = [version.bundle_digest for version in versions] == [world.undisturbed_bundle(name, snapshot)]
    broken = [
        *broken,
        *([] if len(versions) == len(runs) == 1 else [f"{len(versions)} versions and {len(runs)} finished runs"]),
        *([] if len(answers) == 1 else ["a second retry gave another answer"]),
        *([] if all(map(world.is_whole, versions)) else ["the version cannot be fetched"]),
        *([] if same else ["the bundle is not that of an undisturbed run"]),
    ]
    retry = "fitted again, to the same bytes; registered once"
    return Finding(stage, killed, len(seconds), None, max(seconds), retry, (len(versions),), same, tuple(broken))


def kill_after(gate: Gate, moment: int, start: Callable[[], Step]) -> Step:
    """A step that is killed when MLflow has done so many of its writes; returned when it is dead or over."""
    begun: list[Step] = []
    gate.on_round(moment, lambda: begun[0].kill())  # noqa: PLW0108 - there is no step yet
    begun.append(start())
    while begun[0].is_alive:
        time.sleep(0.01)
    return begun[0]


def forget(world: World, name: str) -> None:
    """Take trained versions and their runs out of the registry, and files that lie ready, so that training starts anew."""
    import shutil

    client = _client(world)
    for version in world.versions(name):
        client.delete_model_version(name, version.version)
    for run in _runs(world, name):
        if not run.data.tags["key"].startswith("baseline-"):
            client.delete_run(run.info.run_id)
    for path in (world.services.settings.bundles / name).glob("*-*"):
        shutil.rmtree(path) if not path.name.startswith("baseline") else None


def finished_runs(world: World, name: str) -> list[Any]:
    """Runs in MLflow that are complete, without that of version 0 where there are versions."""
    runs = [run for run in _runs(world, name) if run.info.status == "FINISHED"]
    trained = [run for run in runs if not run.data.tags["key"].startswith("baseline-")]
    return trained or runs


def _runs(world: World, name: str) -> list[Any]:
    client = _client(world)
    experiment = client.get_experiment_by_name(name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _client(world: World) -> Any:
    return world.services.registry._client


def _key(world: World, name: str, snapshot: str) -> str:
    from noria.core.base.results import SnapshotRef
    from noria.core.model.bundle import specification_digest

    digest = SnapshotRef.model_validate_json(snapshot).digest
    return f"{digest[:16]}-{specification_digest(world.use_case(name))[:16]}"


def _stands_still_at(step: Step) -> Callable[[], bool]:
    """Whether the step waits for somebody to read its pipe: the kernel says so, or else it has done nothing for a second."""
    process, seen = Path(f"/proc/{step.pid}"), [(0.0, "")]

    def seen_waiting() -> bool:
        with suppress(OSError):
            where = (process / "wchan").read_text()
            if len(where) > 1:
                return where == "wait_for_partner"
            busy = " ".join((process / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
            if busy != seen[0][1]:
                seen[0] = (time.monotonic(), busy)
            return time.monotonic() - seen[0][0] > 1
        return False

    return seen_waiting
