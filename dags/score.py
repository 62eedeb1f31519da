"""`<use case>__score`: an Airflow DAG that predicts every entity of an interval as soon as its features are there."""

from __future__ import annotations

from noria.core.base.results import ScoreResult
from noria.core.use_case import UseCase
from noria_airflow import assets
from noria_airflow.partitions import DatasetIntervals
from noria_airflow.pipeline import pipeline
from noria_airflow.runs import TaskContext
from noria_airflow.tasks import noria_task
from noria_airflow.timetables import IntervalAssetTimetable
from noria_airflow.use_cases import valid_use_cases


def build(use_case: UseCase) -> None:
    """Score; then emit the event that wakes monitoring."""
    predictions = assets.predictions(use_case)

    @noria_task(use_case.name, doc_md="Predict with the version in force when the interval began.", outlets=[predictions])
    def score(run: TaskContext) -> ScoreResult:
        from noria.jobs import scoring

        result = scoring.score(run.services, run.use_case, run.interval)
        run.emit_asset_event(predictions, {"version": result.version, "digest": result.digest})
        return result

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
