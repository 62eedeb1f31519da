"""Registers our timetables with every Airflow process."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from noria_airflow.timetables import IntervalAssetTimetable, IntervalTimetable, TrainingTimetable


class NoriaPlugin(AirflowPlugin):
    """Noria's part of Airflow."""

    name = "noria"
    timetables: list[Any] = [IntervalTimetable, IntervalAssetTimetable, TrainingTimetable]  # noqa: RUF012  # Airflow's own attribute
