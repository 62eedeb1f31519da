"""Kills during the snapshot: while PostgreSQL reads the rows, and while the file is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.training_faults.finding import Finding
from benchmarks.training_faults.job_process import JobProcess, run_job
from benchmarks.training_faults.sandbox import Sandbox

_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%ftr_parcels%%'"


def killed_while_reading(sandbox: Sandbox) -> Finding:
    """A lock on the features makes the job wait in PostgreSQL, and it is killed there."""
    name = sandbox.a_use_case("read")
    with psycopg.connect(sandbox.environment.warehouse_url) as blocker:
        blocker.execute("lock table features.ftr_parcels in access exclusive mode")
        process = JobProcess(sandbox.environment, name, "snapshot")
        hit = process.kill_when(lambda: bool(sandbox.query(_WAITING)[0][0]))
        seconds = time.monotonic() - process.started
    return _retried(sandbox, name, "the job, while PostgreSQL reads the rows", seconds, hit=hit)


def killed_while_writing(sandbox: Sandbox) -> Finding:
    """The job is killed when its draft exists and is not renamed yet; tried again where the job was quicker."""
    name = sandbox.a_use_case("written")
    folder = sandbox.services.settings.snapshots / name
    for _ in range(20):
        process = JobProcess(sandbox.environment, name, "snapshot")
        process.kill_when(_draft_in(folder))
        seconds = time.monotonic() - process.started
        if not list(folder.glob("[!.]*.parquet")):
            return _retried(sandbox, name, "the job, while the Parquet file is written", seconds, hit=True)
        for path in folder.iterdir():
            path.unlink()
    return _retried(sandbox, name, "the job, while the Parquet file is written", 0.0, hit=False)


def _draft_in(folder: Path) -> Callable[[], bool]:
    return lambda: folder.is_dir() and any(folder.glob(".draft-*"))


def _retried(sandbox: Sandbox, name: str, killed: str, seconds: float, *, hit: bool) -> Finding:
    folder = sandbox.services.settings.snapshots / name
    before = len(list(folder.glob("[!.]*"))) if folder.is_dir() else 0
    again = run_job(sandbox.environment, name, "snapshot")
    other = run_job(sandbox.environment, name, "snapshot")
    whole = [path for path in folder.iterdir() if path.suffix == ".parquet" and not path.name.startswith(".")]
    litter = len(list(folder.iterdir())) - len(whole)
    broken = [] if hit else ["the job ended before it was killed"]
    broken += [f"{before} incomplete snapshots under a final name"] if before else []
    broken += [f"{litter} drafts stay on the disk"] if litter else []
    return Finding(
        "snapshot", killed, 1, None, seconds, "took it again", None, again == other and len(whole) == 1, tuple(broken)
    )
