"""`<use case>__train`: an Airflow DAG that makes a model as of a date, and lets it serve if it keeps every promise."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, task

from noria.core.use_case import Approval, UseCase
from noria_airflow import assets, promotion, rollout
from noria_airflow.approval import EVIDENCE, EvidenceLink, ask, evidence_page
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import current_as_of, current_step, to_xcom
from noria_airflow.timetables import TrainingTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Baseline and snapshot, search in parallel, fit, gates, approval where asked for, promotion at once or in steps."""
    name = use_case.name
    model = assets.model(use_case)

    @task(doc_md="Register today's rule as version 0, so that there is something to beat.")
    def baseline() -> str:
        from noria.jobs import training

        step = current_step(name)
        return training.ensure_baseline(step.services, step.use_case).version

    @task(doc_md="Freeze what was known as of the date into content-addressed Parquet.")
    def snapshot() -> dict[str, Any]:
        from noria.jobs import training

        step = current_step(name)
        return to_xcom(training.take_snapshot(step.services, step.use_case, current_as_of(step).instant))

    @task(doc_md="One worker of the hyperparameter search on the shared study; a retry goes on where it stopped.")
    def search(frozen: dict[str, Any], worker: int) -> dict[str, Any]:
        from noria.core.base.results import SnapshotRef
        from noria.jobs import training

        step = current_step(name)
        return to_xcom(training.search(step.services, step.use_case, SnapshotRef.model_validate(frozen), worker))

    @task(doc_md="Fit the best trial, judge it on the last slice of time, register it with its verdict.")
    def fit_and_register(frozen: dict[str, Any]) -> dict[str, Any]:
        from noria.core.base.results import SnapshotRef
        from noria.jobs import training

        step = current_step(name)
        registered = training.fit_and_register(step.services, step.use_case, SnapshotRef.model_validate(frozen))
        step.context["ti"].xcom_push(EVIDENCE, evidence_page(step, registered.version))
        return to_xcom(registered)

    @task(doc_md="Stop here, without an error, when the candidate broke a promise; else it is challenger.")
    def check_gates(candidate: dict[str, Any]) -> str:
        return promotion.set_challenger(current_step(name), candidate)

    @task(doc_md="Make the candidate champion, unless the champion it was judged against has moved.", outlets=[model])
    def promote(candidate: dict[str, Any], approval: dict[str, Any] | None = None) -> dict[str, Any]:
        step = current_step(name)
        result = promotion.promote(step, candidate, approval)
        step.emit_asset_event(model, {"version": result.version, "previous": result.previous})
        return to_xcom(result)

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
        version_zero = baseline()
        frozen = snapshot()
        searched = search.partial(frozen=frozen).expand(worker=list(range(use_case.training.workers)))
        candidate = fit_and_register(frozen)
        candidate.operator.operator_extra_links = (EvidenceLink(),)
        passed = check_gates(candidate)
        [version_zero, searched] >> candidate
        if use_case.approval is Approval.MANUAL:
            approve = ask(use_case, f"{passed}", "fit_and_register")
            passed >> approve
            takes_over(candidate, approve.output)
        else:
            passed >> takes_over(candidate)


for _use_case in valid_use_cases():
    build(_use_case)
