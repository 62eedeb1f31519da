"""`<use case>__train`: an Airflow DAG that makes a model as of a date, and lets it serve if every gate passes."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from noria.core.base.results import PromotionResult, SearchResult, SnapshotRef, VersionRef
from noria.core.use_case import Approval, UseCase
from noria_airflow import assets, promotion, rollout
from noria_airflow.approval import EVIDENCE, EvidenceLink, ask, evidence_page
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import TaskContext, current_as_of
from noria_airflow.tasks import noria_task
from noria_airflow.timetables import TrainingTimetable
from noria_airflow.use_cases import valid_use_cases

_AS_OF = Param(
    None,
    type=["null", "string"],
    format="date",
    title="As of",
    description="Train with what was known when this day began (UTC). Empty: up to the last whole interval.",
)


def baseline(run: TaskContext) -> str:
    """Register the baseline as version 0, so that there is something to beat."""
    from noria.jobs import training

    return training.ensure_baseline(run.services, run.use_case).version


def snapshot(run: TaskContext) -> SnapshotRef:
    """Freeze what was known as of the date into content-addressed Parquet."""
    from noria.jobs import training

    return training.take_snapshot(run.services, run.use_case, current_as_of(run).instant)


def search(run: TaskContext, frozen: SnapshotRef, worker: int) -> SearchResult:
    """One worker of the hyperparameter search on the shared study; a retry resumes it."""
    from noria.jobs import training

    return training.search(run.services, run.use_case, frozen, worker)


def fit_and_register(run: TaskContext, frozen: SnapshotRef) -> VersionRef:
    """Fit the best trial, evaluate it on the last slice of time, register it with its gates."""
    from noria.jobs import training

    registered = training.fit_and_register(run.services, run.use_case, frozen)
    run.context["ti"].xcom_push(EVIDENCE, evidence_page(run, registered.version))
    return registered


def check_gates(run: TaskContext, candidate: VersionRef) -> str:
    """Stop here, without an error, when a gate of the candidate failed; else it is challenger."""
    return promotion.set_challenger(run, candidate)


def promote(run: TaskContext, candidate: VersionRef, approval: dict[str, Any] | None = None) -> PromotionResult:
    """Make the candidate champion, unless the champion it was compared with has moved."""
    result = promotion.promote(run, candidate, approval)
    run.emit_asset_event(assets.model(run.use_case), {"version": result.version, "previous": result.previous})
    return result


def build(use_case: UseCase) -> None:
    """Baseline and snapshot, search in parallel, fit, gates, approval where asked for, promotion at once or in steps."""
    task, model = noria_task(use_case.name), assets.model(use_case)
    at_once = noria_task(use_case.name, outlets=[model])(promote)
    takes_over = at_once if use_case.rollout is None else rollout.tasks(use_case, use_case.rollout, model)
    intervals = DatasetIntervals.of(use_case.schedule)
    with pipeline(
        use_case,
        "train",
        f"Training and promotion: {use_case.title}",
        schedule=TrainingTimetable(assets.retrain(use_case), use_case.schedule.train, intervals),
        max_active_runs=1,
        by_hand="To run it by hand: **Trigger ▸ Run Parameters ▸ As of** takes the date up to which it may look.",
        params={"as_of": _AS_OF},
    ):
        registered_baseline = task(baseline)()
        frozen = task(snapshot)()
        searched = task(search).partial(frozen=frozen).expand(worker=list(range(use_case.training.workers)))
        candidate = task(fit_and_register)(frozen)
        candidate.operator.operator_extra_links = (EvidenceLink(),)
        passed = task(check_gates)(candidate)
        [registered_baseline, searched] >> candidate
        if use_case.approval is Approval.MANUAL:
            approve = ask(use_case, f"{passed}", "fit_and_register")
            passed >> approve
            takes_over(candidate, approve.output)
        else:
            passed >> takes_over(candidate)


for _use_case in valid_use_cases():
    build(_use_case)
