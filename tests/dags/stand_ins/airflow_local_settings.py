"""Stands in for `config/airflow_local_settings.py` in the scheduler test: gives tasks jobs that only write down their calls.

What is tested there is which runs Airflow makes, for which interval, and what they wake; what jobs do is tested elsewhere,
against real services. Tasks are forked from the scheduler, so what is put in place here is what they import.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import monitoring
import noria.jobs
from noria.core.base import results
from noria.core.base.errors import ApprovalError, QualityError
from noria.core.base.interval import Interval
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.rollout import RolloutResult, RolloutState
from noria.release.approvals import approval_violation

FOLDER = Path(os.environ["NORIA_HOME"])


def note(job: str, about: object) -> None:
    """Append one line to the calls; whole even when several tasks write at once."""
    line = json.dumps([job, str(about)]) + "\n"
    descriptor = os.open(FOLDER / "calls.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def switched_on(name: str) -> bool:
    """Whether the test has put a switch in place."""
    return (FOLDER / name).exists()


def ingest(_services: object, _use_case: object, interval: object) -> results.IngestResult:
    note("ingest", interval)
    return results.IngestResult(rows={"parcels": 3})


def validate(_services: object, _use_case: object, interval: object, stage: str) -> results.QualityResult:
    note(f"validate_{stage}", interval)
    if switched_on(f"bad_{stage}"):
        raise QualityError("parcels.weight: 2 of 3 rows are negative")
    return results.QualityResult(suite=stage, expectations=1)


def transform(_services: object, _use_case: object, interval: object) -> results.TransformResult:
    note("transform", interval)
    return results.TransformResult(rows={"ftr_parcels": 3})


def score(_services: object, _use_case: object, interval: object) -> results.ScoreResult:
    note("score", interval)
    return results.ScoreResult(version="0", rows=3, digest="0" * 64)


def ensure_baseline(_services: object, _use_case: object) -> Any:
    note("ensure_baseline", "0")
    return types.SimpleNamespace(version="0")


def take_snapshot(_services: object, _use_case: object, as_of: datetime) -> results.SnapshotRef:
    note("take_snapshot", as_of.date())
    return results.SnapshotRef(digest="s" * 64, path="s.parquet", as_of=as_of.isoformat(), rows=3, positives=1)


def search(_services: object, _use_case: object, _snapshot: object, worker: int) -> results.SearchResult:
    note("search", worker)
    return results.SearchResult(study="study", trials=1, best_value=0.5)


def fit_and_register(_services: object, _use_case: object, _snapshot: object) -> results.VersionRef:
    note("fit_and_register", "1")
    return results.VersionRef(
        version="1",
        bundle_digest="b" * 64,
        run_id="run",
        passed=not switched_on("bad_model"),
        summary="roc_auc 0.71",
        champion="0",
    )


def set_challenger(_services: object, _use_case: object, candidate: results.VersionRef, *, actor: str) -> None:
    note("nominate", candidate.version)


def promote(_services: object, use_case: Any, request: PromotionRequest) -> results.PromotionResult:
    """Holds approvals against the real rule, since who asked and who answered is what Airflow must know."""
    why = approval_violation(use_case, requested_by=request.actor, approved_by=request.approved_by)
    about = f"{request.actor.split(maxsplit=1)[0]}, {request.approved_by}: {request.reason}"
    note("promote" if why is None else "refuse", about)
    if why is not None:
        raise ApprovalError(why)
    return results.PromotionResult(promoted=True, version=request.candidate.version, previous="0", reason=request.reason)


def a_rollout(version: str, state: RolloutState, reason: str) -> RolloutResult:
    """Where a made-up rollout stands."""
    return RolloutResult(
        id="rollout-1",
        champion="0",
        challenger=version,
        state=state,
        step=0,
        share=5,
        shadow=False,
        promoted=state is RolloutState.COMPLETED,
        reason=reason,
    )


def start(_services: object, _use_case: object, request: PromotionRequest) -> RolloutResult:
    note("start_rollout", f"{request.candidate.version}: {request.reason}")
    (FOLDER / "looked").unlink(missing_ok=True)
    return a_rollout(request.candidate.version, RolloutState.RUNNING, request.reason)


def advance(_services: object, _use_case: object, *, actor: str) -> RolloutResult:
    """At the second look it is over: won, or rolled back where the test says so."""
    looked = switched_on("looked")
    (FOLDER / "looked").touch()
    note("advance_rollout", "again" if looked else "first")
    if not looked:
        return a_rollout("1", RolloutState.RUNNING, "")
    if switched_on("bad_challenger"):
        return a_rollout("1", RolloutState.ROLLED_BACK, "serving rolled it back: it gave the score nan")
    return a_rollout("1", RolloutState.COMPLETED, "no harm")


def reject(_services: object, _use_case: object, candidate: results.VersionRef, *, actor: str, reason: str) -> None:
    note("reject", f"{actor}: version {candidate.version}: {reason}")


def monitor(_services: object, _use_case: object, interval: Interval) -> results.MonitorResult:
    note("monitor", interval)
    return results.MonitorResult(version="0", verdict="stable", report="", summary="as before")


def notify(_services: object, _use_case: object, interval: Interval) -> results.NotifyResult:
    note("notify", interval)
    return results.NotifyResult(message_id="1", recipients=("a@example.com",), delivered_now=True)


def decide_retrain(_services: object, _use_case: object, interval: Interval, _run_id: str) -> results.RetrainResult:
    """Asks for training after February, once, as the real job does."""
    note("decide_retrain", interval)
    asked = FOLDER / "asked"
    retrain = interval.start.month == 2 and not asked.exists()
    if retrain:
        asked.touch()
    return results.RetrainResult(retrain=retrain, as_of=interval.end.isoformat(), reason="2 of 3 say drift")


def put_in_place(package: types.ModuleType, name: str, *jobs: Callable[..., Any]) -> None:
    """Let tasks import the stand-ins as `<package>.<name>`."""
    module = types.ModuleType(f"{package.__name__}.{name}")
    for job in jobs:
        setattr(module, job.__name__, job)
    sys.modules[module.__name__] = module
    setattr(package, name, module)  # what an import of the real module does


if "scheduler" in sys.argv:
    fitting = (ensure_baseline, take_snapshot, search, fit_and_register)
    put_in_place(noria.jobs, "data", ingest, validate, transform)
    put_in_place(noria.jobs, "scoring", score)
    put_in_place(noria.jobs, "training", *fitting)
    put_in_place(noria.jobs, "release", set_challenger, promote, reject)
    put_in_place(noria.jobs, "rollout", start, advance)
    put_in_place(monitoring, "jobs", monitor, notify, decide_retrain)
