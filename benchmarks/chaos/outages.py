"""Outages under load: of the registry, PostgreSQL, the disk, one of serving's own workers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.app_load import AppLoad
from benchmarks.chaos.outcome import FaultOutcome
from benchmarks.chaos.serving_stack import PARCELS, ServingProcess, ServingStack

_KILLS = 5
_SMALL_DISK = "4m"
_MANY = 10
"""Instances in a request, to fill the journal soon."""
_SLOWLY = 40.0
"""Requests a second there: those between two checks of the journal must fit into it."""


def registry_down(stack: ServingStack, serving: ServingProcess, seconds: float) -> FaultOutcome:
    """`kill -9` of MLflow; it comes back, and the next promotion is followed."""
    version = stack.register(PARCELS, 70).version
    with AppLoad(serving.port, PARCELS, stack.key, "registry") as load:
        stack.servers.mlflow.kill()
        time.sleep(seconds)
        ready = serving.status("/readyz")
        stack.servers.mlflow.start()
        started = time.monotonic()
        stack.promote(PARCELS, version)
        load.wait_for_version(version)
        recovered = time.monotonic() - started
    stored, _ = stack.stored(load.requests)
    broken = () if ready == 200 else (f"/readyz said {ready} while the registry was down",)
    until = "a promotion after it came back answers everything"
    return FaultOutcome(f"the registry is down for {seconds:g} s", load.requests, stored, [recovered], until, broken=broken)


def postgres_down(stack: ServingStack, serving: ServingProcess, seconds: float) -> FaultOutcome:
    """`kill -9` of PostgreSQL, and so of the registry's store and of the keys; it comes back."""
    with AppLoad(serving.port, PARCELS, stack.key, "postgres") as load:
        load.wait_for(200)
        stack.servers.kill_postgres()
        time.sleep(seconds)
        stack.servers.postgres.start()
        load.wait_for(200)
    stored, waited = stack.stored(load.requests)
    until = "every prediction is stored, after the last request"
    return FaultOutcome(f"PostgreSQL is down for {seconds:g} s", load.requests, stored, [waited], until)


def worker_killed(stack: ServingStack, serving: ServingProcess) -> FaultOutcome:
    """`kill -9` of one of the workers, several times; requests on its connections are lost."""
    seconds: list[float] = []
    with AppLoad(serving.port, PARCELS, stack.key, "worker") as load:
        for _ in range(_KILLS):
            started = time.monotonic()
            serving.replace_worker()
            # a new connection goes to either worker: 20 connections show one that does not answer yet
            if {serving.status("/healthz") for _ in range(20)} != {200}:
                serving.wait_until_ready()
            seconds.append(time.monotonic() - started)
            load.wait_for(100)
    stored, _ = stack.stored(load.requests)
    until = "as many workers answer as before"
    return FaultOutcome(f"a worker is killed, {_KILLS} times", load.requests, stored, seconds, until, may_break=True)


def start_alone(stack: ServingStack) -> FaultOutcome:
    """Serving starts again while registry and PostgreSQL are down; API keys are still checked."""
    with ServingProcess(stack, "alone") as serving, AppLoad(serving.port, PARCELS, stack.key, "before") as load:
        load.wait_for(100)
    version = stack.champion(PARCELS)
    stack.servers.mlflow.kill()
    stack.servers.kill_postgres()
    started = time.monotonic()
    with ServingProcess(stack, "alone") as serving:
        seconds = [time.monotonic() - started]
        with AppLoad(serving.port, PARCELS, stack.key, "alone") as load:
            load.wait_for(400)
        stack.servers.postgres.start()
        stack.servers.mlflow.start()
    stored, _ = stack.stored(load.requests)
    answered = {each for request in load.requests for each in request.versions}
    broken = () if answered == {version} else (f"versions {', '.join(sorted(answered))} answered, not {version}",)
    until = "it is ready, from its start on"
    return FaultOutcome("a start without registry and PostgreSQL", load.requests, stored, seconds, until, broken=broken)


def journal_full(stack: ServingStack) -> FaultOutcome:
    """PostgreSQL is down until the journal reaches its limit (NORIA_SERVING_JOURNAL_MB); then it comes back."""
    with (
        ServingProcess(stack, "limited", settings={"NORIA_SERVING_JOURNAL_MB": "1"}) as serving,
        AppLoad(serving.port, PARCELS, stack.key, "limit", rate=_SLOWLY, rows=_MANY) as load,
    ):
        stack.servers.kill_postgres()
        load.wait_for_refusals()
        unready = serving.status("/readyz")
        stack.servers.postgres.start()
        started = time.monotonic()
        load.wait_for_no_refusals()
        seconds = [time.monotonic() - started]
        serving.wait_until_ready()
    stored, _ = stack.stored(load.requests, _MANY)
    broken = () if unready == 503 else (f"/readyz said {unready} while nothing could be recorded",)
    until = "everything is answered again, once PostgreSQL is back"
    return FaultOutcome(
        "the journal reaches its limit", load.requests, stored, seconds, until, may_refuse=True, broken=broken
    )


def disk_full(stack: ServingStack) -> FaultOutcome:
    """Serving's disk is full to the last byte; then there is room again. Needs root, to mount a small disk."""
    with _small_disk(stack.servers.root / "disk") as disk:
        filler = disk / "filler"
        with (
            ServingProcess(stack, "crowded", settings={"NORIA_SERVING_STATE": str(disk / "state")}) as serving,
            AppLoad(serving.port, PARCELS, stack.key, "disk", rate=_SLOWLY, rows=_MANY) as load,
        ):
            _fill(filler)
            load.wait_for_refusals()
            time.sleep(1)
            filler.unlink()
            started = time.monotonic()
            load.wait_for_no_refusals()
            seconds = [time.monotonic() - started]
            load.wait_for(100)
        stored, _ = stack.stored(load.requests, _MANY)
    until = "everything is answered again, once there is room"
    return FaultOutcome("the disk is full", load.requests, stored, seconds, until, may_refuse=True)


def _fill(path: Path) -> None:
    """Write until there is no room for another byte."""
    with path.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
