"""`<use case>__data`: an Airflow DAG that brings one interval of data from its sources to checked features and labels."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from noria.core.use_case import UseCase
from noria_airflow import assets
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import current_step, to_xcom
from noria_airflow.timetables import IntervalTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Ingest, check, transform, check; then tell scoring that the interval is there."""
    name = use_case.name
    features = assets.features(use_case)

    @task(doc_md="Replace the interval in every raw table, whole and in one transaction.")
    def ingest() -> dict[str, Any]:
        from noria.jobs import data

        step = current_step(name)
        return to_xcom(data.ingest(step.services, step.use_case, step.interval))

    @task(doc_md="Hold the raw rows against `expectations/`. A critical failure stops the run and names the rows.")
    def validate_raw() -> dict[str, Any]:
        from noria.jobs import data

        step = current_step(name)
        return to_xcom(data.validate(step.services, step.use_case, step.interval, "raw"))

    models = f"`{use_case.features.model}`, `{use_case.label.model}`"

    @task(doc_md=f"`dbt build` of the interval: {models}, all models that they are made from, and their tests.")
    def transform() -> dict[str, Any]:
        from noria.jobs import data

        step = current_step(name)
        return to_xcom(data.transform(step.services, step.use_case, step.interval))

    @task(doc_md="Hold the features against `expectations/`, then announce the interval.", outlets=[features])
    def validate_features() -> dict[str, Any]:
        from noria.jobs import data

        step = current_step(name)
        result = to_xcom(data.validate(step.services, step.use_case, step.interval, "features"))
        step.emit_asset_event(features, {"start": step.interval.start.isoformat(), "end": step.interval.end.isoformat()})
        return result

    with pipeline(
        use_case,
        "data",
        f"Data, one interval at a time: {use_case.title}",
        schedule=IntervalTimetable(DatasetIntervals.of(use_case.schedule)),
        max_active_runs=3,
    ):
        ingest() >> validate_raw() >> transform() >> validate_features()


for _use_case in valid_use_cases():
    build(_use_case)
