"""What Airflow's plugin loader finds.

The loader runs every file of this folder under its bare name, so the package beside it is hidden from the loader by
`.airflowignore` and imported here under its real one: a timetable must have one class for all importers.
"""

from noria_airflow.plugin import NoriaPlugin

__all__ = ["NoriaPlugin"]
