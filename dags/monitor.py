"""`<use case>__monitor`: an Airflow DAG that judges an interval, mails the report, and wakes training when it must."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowSkipException

from noria.core.base.interval import parse_instant
from noria.core.base.results import MonitorResult, NotifyResult, RetrainResult
from noria.core.use_case import UseCase
from noria_airflow import assets
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import TaskContext
from noria_airflow.tasks import noria_task
from noria_airflow.timetables import IntervalAssetTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Judge, mail, decide."""
    name = use_case.name
    retrain = assets.retrain(use_case)

    @noria_task(
        name, doc_md="Drift, quality and money of the interval, against the reference of the version that scored it."
    )
    def monitor(run: TaskContext) -> MonitorResult:
        from monitoring import jobs

        return jobs.monitor(run.services, run.use_case, run.interval)

    @noria_task(name, doc_md="Mail the report, once.")
    def notify(run: TaskContext) -> NotifyResult:
        from monitoring import jobs

        return jobs.notify(run.services, run.use_case, run.interval)

    @noria_task(name, doc_md="Wake training when the policy says so; skipped when it does not.", outlets=[retrain])
    def decide_retrain(run: TaskContext) -> RetrainResult:
        from monitoring import jobs

        result = jobs.decide_retrain(run.services, run.use_case, run.interval, run.run_id)
        if not result.retrain:
            raise AirflowSkipException(f"no retraining: {result.reason}")
        as_of = parse_instant(result.as_of)
        run.emit_asset_event(retrain, {"as_of": result.as_of, "reason": result.reason}, partition=as_of)
        return result

    with pipeline(
        use_case,
        "monitor",
        f"Drift, quality and money, one interval at a time: {use_case.title}",
        schedule=IntervalAssetTimetable(assets.predictions(use_case), DatasetIntervals.of(use_case.schedule)),
        max_active_runs=1,
    ):
        # A mail server that is down must not keep a drifting model in service.
        monitor() >> [notify(), decide_retrain()]


for _use_case in valid_use_cases():
    build(_use_case)
