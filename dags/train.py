"""`<use case>__train`: an Airflow DAG that makes a model as of a date and promotes it if it keeps every promise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowSkipException

from noria.core.use_case import Approval, UseCase
from noria_airflow import assets
from noria_airflow.partitions import Span
from noria_airflow.pipeline import pipeline
from noria_airflow.retries import retry_arguments
from noria_airflow.runs import current_as_of, current_step, handed_on
from noria_airflow.timetables import TrainingTimetable
from noria_airflow.use_cases import whole_use_cases

APPROVE_WITHIN = timedelta(days=7)


def build(use_case: UseCase) -> None:
    """Baseline and snapshot, search in parallel, fit, gates, approval where asked for, promotion."""
    name = use_case.name
    model = assets.model(use_case)

    @task(doc_md="Register today's rule as version 0, so that there is something to beat.")
    def baseline() -> str:
        from noria import jobs

        step = current_step(name)
        return jobs.ensure_baseline(step.services, step.use_case).version

    @task(doc_md="Freeze what was known as of the date into content-addressed Parquet.")
    def snapshot() -> dict[str, Any]:
        from noria import jobs

        step = current_step(name)
        return handed_on(jobs.take_snapshot(step.services, step.use_case, current_as_of(step).instant))

    @task(doc_md="One worker of the hyperparameter search on the shared study; a retry goes on where it stopped.")
    def search(frozen: dict[str, Any], worker: int) -> dict[str, Any]:
        from noria import jobs
        from noria.core.results import SnapshotRef

        step = current_step(name)
        return handed_on(jobs.search(step.services, step.use_case, SnapshotRef.model_validate(frozen), worker))

    @task(doc_md="Fit the best trial, judge it on the last slice of time, register it with its verdict.")
    def fit_and_register(frozen: dict[str, Any]) -> dict[str, Any]:
        from noria import jobs
        from noria.core.results import SnapshotRef

        step = current_step(name)
        return handed_on(jobs.fit_and_register(step.services, step.use_case, SnapshotRef.model_validate(frozen)))

    @task(doc_md="Stop here, without an error, when the candidate broke a promise.")
    def check_gates(candidate: dict[str, Any]) -> str:
        if not candidate["passed"]:
            raise AirflowSkipException(f"version {candidate['version']} is not promoted: {candidate['summary']}")
        return str(candidate["summary"])

    @task(doc_md="Make the candidate champion, unless the champion it was judged against has moved.", outlets=[model])
    def promote(candidate: dict[str, Any], approval: dict[str, Any] | None = None) -> dict[str, Any]:
        from noria import jobs
        from noria.core.results import RegisteredModel

        step = current_step(name)
        actor = approver(approval) or f"airflow {step.context['dag_run'].dag_id} {step.run_id}"
        registered = RegisteredModel.model_validate(candidate)
        reason = f"{current_as_of(step).reason}; {registered.summary}"
        result = jobs.promote(step.services, step.use_case, registered, actor=actor, reason=reason)
        if not result.promoted:
            raise AirflowSkipException(f"version {result.version} is not promoted: {result.reason}")
        step.announce(model, {"version": result.version, "previous": result.previous})
        return handed_on(result)

    with pipeline(
        use_case,
        "train",
        f"Training and promotion: {use_case.title}",
        schedule=TrainingTimetable(assets.retrain(use_case), use_case.schedule.train, Span.of(use_case.schedule)),
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
        passed = check_gates(candidate)
        [version_zero, searched] >> candidate
        if use_case.approval is Approval.MANUAL:
            approve = ApprovalOperator(
                task_id="approve",
                subject=f"Promote a new model? {use_case.title}",
                body=f"{passed}",
                response_timeout=APPROVE_WITHIN,
                **retry_arguments(HITLTimeoutError),
                doc_md="Someone says yes or no under Required Actions; no answer in a week fails the run.",
            )
            passed >> approve
            promote(candidate, approve.output)
        else:
            passed >> promote(candidate)


def approver(approval: dict[str, Any] | None) -> str:
    """Who answered the question; empty where nobody was asked."""
    user = (approval or {}).get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "")


for _use_case in whole_use_cases():
    build(_use_case)
