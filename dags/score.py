"""`<use case>__score`: an Airflow DAG that predicts every entity of an interval as soon as its features are there."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from noria.core.use_case import UseCase
from noria_airflow import assets
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import current_step, to_xcom
from noria_airflow.timetables import IntervalAssetTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Score; then tell monitoring that the interval is there."""
    name = use_case.name
    predictions = assets.predictions(use_case)

    @task(doc_md="Predict with the version that was in force when the interval began.", outlets=[predictions])
    def score() -> dict[str, Any]:
        from noria.jobs import scoring

        step = current_step(name)
        result = scoring.score(step.services, step.use_case, step.interval)
        step.emit_asset_event(predictions, {"version": result.version, "digest": result.digest})
        return to_xcom(result)

    with pipeline(
        use_case,
        "score",
        f"Batch predictions, one interval at a time: {use_case.title}",
        schedule=IntervalAssetTimetable(assets.features(use_case), DatasetIntervals.of(use_case.schedule)),
        max_active_runs=3,
    ):
        score()


for _use_case in valid_use_cases():
    build(_use_case)
