"""Runs the demo against the embedded stack, which must be up."""

from __future__ import annotations

from rich.console import Console

from noria.bootstrap import bootstrap
from noria.demo.airflow_api import AirflowApi
from noria.demo.story import FLIGHTS_OF_2013, Story
from noria.demo.summary import show_summary


def run(console: Console) -> None:
    """Tell and do the whole loop, then show what it came to.

    Raises:
        NoriaError: a step failed; says which and why.
    """
    services = bootstrap()
    settings = services.settings
    with AirflowApi(settings.airflow_url, settings.airflow_user, settings.airflow_password.get_secret_value()) as airflow:
        story = Story(FLIGHTS_OF_2013, services, airflow, console)
        outcome = story.tell()
    show_summary(console, services, story.use_case, outcome)
