"""What serving depends on goes away under load: the registry, PostgreSQL, the disk, one of its own workers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos_parts.load import Load
from benchmarks.chaos_parts.outcome import Outcome
from benchmarks.chaos_parts.stack import PARCELS, Server, Stack
from benchmarks.fault_parts.world import kill_postgres

_KILLS = 5
_SMALL_DISK = "4m"
_MANY = 10
"""Instances in a request where the journal is to fill up soon."""
_SLOWLY = 40.0
"""Requests a second there: what comes between two looks at the journal must fit into it."""


def registry_down(stack: Stack, server: Server, seconds: float) -> Outcome:
    """`kill -9` of MLflow; it comes back, and the next promotion is followed."""
    version = stack.register(PARCELS, 70).version
    with Load(server.port, PARCELS, stack.key, "registry") as load:
        stack.mlflow.kill()
        time.sleep(seconds)
        ready = server.status("/readyz")
        stack.mlflow.start()
        started = time.monotonic()
        stack.promote(PARCELS, version)
        load.wait_for_version(version)
        recovered = time.monotonic() - started
    stored, _ = stack.stored(load.answers)
    broken = () if ready == 200 else (f"/readyz said {ready} while the registry was down",)
    what = "a promotion after it came back answers everything"
    return Outcome(f"the registry is down for {seconds:g} s", load.answers, stored, [recovered], what, broken=broken)


def postgres_down(stack: Stack, server: Server, seconds: float) -> Outcome:
    """`kill -9` of PostgreSQL, and so of the registry's store and of the keys; it comes back."""
    with Load(server.port, PARCELS, stack.key, "postgres") as load:
        load.wait_for(200)
        kill_postgres(stack.postgres)
        time.sleep(seconds)
        stack.postgres.start()
        load.wait_for(200)
    stored, waited = stack.stored(load.answers)
    what = "every prediction is stored, after the last request"
    return Outcome(f"PostgreSQL is down for {seconds:g} s", load.answers, stored, [waited], what)


def worker_killed(stack: Stack, server: Server) -> Outcome:
    """`kill -9` of one of the workers, several times; requests on its connections are lost."""
    seconds: list[float] = []
    with Load(server.port, PARCELS, stack.key, "worker") as load:
        for _ in range(_KILLS):
            count = len(server.workers)
            started = time.monotonic()
            dead = server.kill_worker()
            while dead in server.workers or len(server.workers) < count:
                time.sleep(0.01)
            # a new connection goes to either worker: so many that one which does not answer yet would show
            if {server.status("/healthz") for _ in range(20)} != {200}:
                server.wait_until_ready()
            seconds.append(time.monotonic() - started)
            load.wait_for(100)
    stored, _ = stack.stored(load.answers)
    what = "as many workers answer as before"
    return Outcome(f"a worker is killed, {_KILLS} times", load.answers, stored, seconds, what, may_break=True)


def start_alone(stack: Stack) -> Outcome:
    """Serving is started again while neither registry nor PostgreSQL are there; apps still need their keys."""
    with Server(stack, "alone") as server, Load(server.port, PARCELS, stack.key, "before") as load:
        load.wait_for(100)
    version = stack.champion(PARCELS)
    stack.mlflow.kill()
    kill_postgres(stack.postgres)
    started = time.monotonic()
    with Server(stack, "alone") as server:
        seconds = [time.monotonic() - started]
        with Load(server.port, PARCELS, stack.key, "alone") as load:
            load.wait_for(400)
        stack.postgres.start()
        stack.mlflow.start()
    stored, _ = stack.stored(load.answers)
    answered = {each for answer in load.answers for each in answer.versions}
    broken = () if answered == {version} else (f"versions {', '.join(sorted(answered))} answered, not {version}",)
    what = "it is ready, from its start on"
    return Outcome("a start without registry and PostgreSQL", load.answers, stored, seconds, what, broken=broken)


def journal_full(stack: Stack) -> Outcome:
    """PostgreSQL is down for so long that the journal reaches its limit (NORIA_SERVING_JOURNAL_MB); then it comes back."""
    with (
        Server(stack, "limited", settings={"NORIA_SERVING_JOURNAL_MB": "1"}) as server,
        Load(server.port, PARCELS, stack.key, "limit", rate=_SLOWLY, rows=_MANY) as load,
    ):
        kill_postgres(stack.postgres)
        _wait_for_refusals(load)
        unready = server.status("/readyz")
        stack.postgres.start()
        started = time.monotonic()
        _wait_for_no_refusals(load)
        seconds = [time.monotonic() - started]
        server.wait_until_ready()
    stored, _ = stack.stored(load.answers, _MANY)
    broken = () if unready == 503 else (f"/readyz said {unready} while nothing could be recorded",)
    what = "everything is answered again, once PostgreSQL is back"
    return Outcome("the journal reaches its limit", load.answers, stored, seconds, what, may_refuse=True, broken=broken)


def disk_full(stack: Stack) -> Outcome:
    """Serving's disk is full to the last byte; then there is room again. Needs root, for a small disk of its own."""
    with _small_disk(stack.root / "disk") as disk:
        filler = disk / "filler"
        with (
            Server(stack, "crowded", settings={"NORIA_SERVING_STATE": str(disk / "state")}) as server,
            Load(server.port, PARCELS, stack.key, "disk", rate=_SLOWLY, rows=_MANY) as load,
        ):
            _fill(filler)
            _wait_for_refusals(load)
            time.sleep(1)
            filler.unlink()
            started = time.monotonic()
            _wait_for_no_refusals(load)
            seconds = [time.monotonic() - started]
            load.wait_for(100)
        stored, _ = stack.stored(load.answers, _MANY)
    what = "everything is answered again, once there is room"
    return Outcome("the disk is full", load.answers, stored, seconds, what, may_refuse=True)


def _wait_for_refusals(load: Load, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while sum(answer.status == 503 for answer in load.answers[-50:]) < 25:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing is refused after {seconds:g} s")
        time.sleep(0.05)


def _wait_for_no_refusals(load: Load, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while any(answer.status != 200 for answer in load.answers[-50:]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"requests are still refused after {seconds:g} s")
        time.sleep(0.05)


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
