"""`<use case>__data`: an Airflow DAG that brings one interval of data from its sources to checked features and labels."""

from __future__ import annotations

from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase
from noria_airflow import assets
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import TaskContext
from noria_airflow.tasks import noria_task
from noria_airflow.timetables import IntervalTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Ingest, validate, transform, validate; then emit the event that wakes scoring."""
    name = use_case.name
    features = assets.features(use_case)

    @noria_task(name, doc_md="Replace the interval in every raw table, whole and in one transaction.")
    def ingest(run: TaskContext) -> IngestResult:
        from noria.jobs import data

        return data.ingest(run.services, run.use_case, run.interval)

    @noria_task(
        name, doc_md="Hold the raw rows against `expectations/`. A critical failure stops the run and names the rows."
    )
    def validate_raw(run: TaskContext) -> QualityResult:
        from noria.jobs import data

        return data.validate(run.services, run.use_case, run.interval, "raw")

    models = f"`{use_case.features.model}`, `{use_case.label.model}`"

    @noria_task(name, doc_md=f"`dbt build` of the interval: {models}, all models that they are made from, and their tests.")
    def transform(run: TaskContext) -> TransformResult:
        from noria.jobs import data

        return data.transform(run.services, run.use_case, run.interval)

    @noria_task(
        name, doc_md="Hold the features against `expectations/`, then emit the interval's event.", outlets=[features]
    )
    def validate_features(run: TaskContext) -> QualityResult:
        from noria.jobs import data

        result = data.validate(run.services, run.use_case, run.interval, "features")
        run.emit_asset_event(features, {"start": run.interval.start.isoformat(), "end": run.interval.end.isoformat()})
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
