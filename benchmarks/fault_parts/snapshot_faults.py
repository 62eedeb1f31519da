"""Kills during the snapshot: while PostgreSQL is asked, and while the file is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fault_parts.finding import Finding
from benchmarks.fault_parts.steps import Step, finished
from benchmarks.fault_parts.world import World

_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%ftr_parcels%%'"


def killed_while_reading(world: World) -> Finding:
    """PostgreSQL is made to keep the step waiting, by a lock on the features, and the step is killed there."""
    import psycopg

    name = world.a_use_case("read")
    with psycopg.connect(world.place.warehouse_url) as blocker:
        blocker.execute("lock table features.ftr_parcels in access exclusive mode")
        step = Step(world.place, name, "snapshot")
        hit = step.kill_when(lambda: bool(world.query(_WAITING)[0][0]))
        seconds = time.monotonic() - step.started
    return _judged(world, name, "the job, while PostgreSQL reads the rows", seconds, hit=hit)


def killed_while_writing(world: World) -> Finding:
    """The draft is seen, and the step killed before it is renamed; tried again where the step was quicker."""
    name = world.a_use_case("written")
    folder = world.services.settings.snapshots / name
    for _ in range(20):
        step = Step(world.place, name, "snapshot")
        step.kill_when(_draft_in(folder))
        seconds = time.monotonic() - step.started
        if not list(folder.glob("[!.]*.parquet")):
            return _judged(world, name, "the job, while the Parquet file is written", seconds, hit=True)
        for path in folder.iterdir():
            path.unlink()
    return _judged(world, name, "the job, while the Parquet file is written", 0.0, hit=False)


def _draft_in(folder: Path) -> Callable[[], bool]:
    return lambda: folder.is_dir() and any(folder.glob(".draft-*"))


def _judged(world: World, name: str, killed: str, seconds: float, *, hit: bool) -> Finding:
    folder = world.services.settings.snapshots / name
    before = len(list(folder.glob("[!.]*"))) if folder.is_dir() else 0
    again = finished(world.place, name, "snapshot")
    other = finished(world.place, name, "snapshot")
    whole = [path for path in folder.iterdir() if path.suffix == ".parquet" and not path.name.startswith(".")]
    litter = len(list(folder.iterdir())) - len(whole)
    broken = [] if hit else ["the step was over before it could be killed"]
    broken += [f"{before} half-made snapshots under a final name"] if before else []
    broken += [f"{litter} drafts stay on the disk"] if litter else []
    return Finding(
        "snapshot", killed, 1, None, seconds, "took it again", None, again == other and len(whole) == 1, tuple(broken)
    )
