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


def build(use_case: UseCase) -> None:
    """Baseline and snapshot, search in parallel, fit, gates, approval where asked for, promotion at once or in steps."""
    name = use_case.name
    model = assets.model(use_case)

    @noria_task(name, doc_md="Register the baseline as version 0, so that there is something to beat.")
    def baseline(run: TaskContext) -> str:
        from noria.jobs import training

        return training.ensure_baseline(run.services, run.use_case).version

    @noria_task(name, doc_md="Freeze what was known as of the date into content-addressed Parquet.")
    def snapshot(run: TaskContext) -> SnapshotRef:
        from noria.jobs import training

        return training.take_snapshot(run.services, run.use_case, current_as_of(run).instant)

    @noria_task(name, doc_md="One worker of the hyperparameter search on the shared study; a retry resumes it.")
    def search(run: TaskContext, frozen: SnapshotRef, worker: int) -> SearchResult:
        from noria.jobs import training

        return training.search(run.services, run.use_case, frozen, worker)

    @noria_task(name, doc_md="Fit the best trial, evaluate it on the last slice of time, register it with its gates.")
    def fit_and_register(run: TaskContext, frozen: SnapshotRef) -> VersionRef:
        from noria.jobs import training

        registered = training.fit_and_register(run.services, run.use_case, frozen)
        run.context["ti"].xcom_push(EVIDENCE, evidence_page(run, registered.version))
        return registered

    @noria_task(name, doc_md="Stop here, without an error, when a gate of the candidate failed; else it is challenger.")
    def check_gates(run: TaskContext, candidate: VersionRef) -> str:
        return promotion.set_challenger(run, candidate)

    @noria_task(
        name, doc_md="Make the candidate champion, unless the champion it was compared with has moved.", outlets=[model]
    )
    def promote(run: TaskContext, candidate: VersionRef, approval: dict[str, Any] | None = None) -> PromotionResult:
        result = promotion.promote(run, candidate, approval)
        run.emit_asset_event(model, {"version": result.version, "previous": result.previous})
        return result

    takes_over = promote if use_case.rollout is None else rollout.tasks(use_case, use_case.rollout, model)

    with pipeline(
        use_case,
        "train",
        f"Training and promotion: {use_case.title}",
        schedule=TrainingTimetable(
            assets.retrain(use_case), use_case.schedule.train, DatasetIntervals.of(use_case.schedule)
        ),
        max_active_runs=1,
        by_hand="To run it by hand: **Trigger ▸ Run Parameters ▸ As of** takes the date up to which it may look.",
        params={
            "as_of": Param(
                None,
                type=["null", "string"],
                format="date",
                title="As of",
                description="Train with what was known when this day began (UTC). Empty: up to the last whole interval.",
            )
        },
    ):
        registered_baseline = baseline()
        frozen = snapshot()
        searched = search.partial(frozen=frozen).expand(worker=list(range(use_case.training.workers)))
        candidate = fit_and_register(frozen)
        candidate.operator.operator_extra_links = (EvidenceLink(),)
        passed = check_gates(candidate)
        [registered_baseline, searched] >> candidate
        if use_case.approval is Approval.MANUAL:
            approve = ask(use_case, f"{passed}", "fit_and_register")
            passed >> approve
            takes_over(candidate, approve.output)
        else:
            passed >> takes_over(candidate)


for _use_case in valid_use_cases():
    build(_use_case)
