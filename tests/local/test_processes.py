"""Order in which the processes of the embedded stack start."""

from __future__ import annotations

from pathlib import Path

from noria.local.credentials import load_credentials
from noria.local.postgres import PostgresServer
from noria.local.processes import stack_processes
from noria.settings import Settings


def test_tables_are_migrated_before_tasks_and_serving_start(postgres: PostgresServer, tmp_path: Path) -> None:
    processes = stack_processes(Settings(home=tmp_path), load_credentials(tmp_path), postgres)
    waiting = {process.name for process in processes if "migrate" in process.after}
    assert waiting == {"scheduler", "serving"}
    (migrate,) = [process for process in processes if process.name == "migrate"]
    assert migrate.command[-2:] == ("noria.cli", "migrate")
    assert migrate.once
    assert migrate.after == ("postgres",)
