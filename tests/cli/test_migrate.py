"""`noria migrate` as a shell would give it, and what other commands say before it."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from noria.cli.migration import register
from noria.data.migrations.schema import revisions


@pytest.fixture
def noria(tmp_path, database_url, monkeypatch):
    """Runs the command in a home of its own, on an empty database."""
    for name in [name for name in os.environ if name.startswith("NORIA_")]:
        monkeypatch.delenv(name)
    settings = {"NORIA_HOME": str(tmp_path / "home"), "NORIA_WAREHOUSE_URL": database_url, "COLUMNS": "80"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "noria.cli", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **settings}
        )

    return run


def test_the_help_teaches_within_80_columns(noria):
    text = noria("migrate", "--help").stdout
    for word in ("after an upgrade", "--dry-run", "noria up", "one transaction", "backup", "--lock-timeout 60"):
        assert word in " ".join(text.split()), word
    assert max(map(len, text.splitlines())) <= 80
    assert " migrate " in noria("--help").stdout


def test_a_new_database_is_refused_shown_migrated_and_then_up_to_date(noria, database_url):
    refused = noria("audit", "list")
    assert refused.returncode == 1
    assert "has no tables of Noria" in refused.stderr
    assert "run `noria migrate`" in refused.stderr
    assert "Traceback" not in refused.stderr

    shown = noria("migrate", "--dry-run")
    assert shown.returncode == 0
    assert shown.stdout.count("would apply") == len(revisions())
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select to_regnamespace('ops')").fetchone() == (None,)

    migrated = noria("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert "applied 0001 (First tables)\n" in migrated.stdout
    assert migrated.stdout.count("applied") == len(revisions())
    assert migrated.stdout.endswith(f"has Noria's tables of revision {revisions()[-1]}, which this release needs\n")
    assert noria("audit", "list").returncode == 0

    assert "nothing to apply" in noria("migrate", "--dry-run").stdout
    assert "applied" not in noria("migrate").stdout


def test_tables_of_a_release_before_numbers_are_shown_and_numbered(noria, database_url, project):
    with psycopg.connect(database_url) as connection:
        connection.execute((project / "tests/data/migrations/unnumbered/0003.sql").read_text())
    assert "a release before numbered migrations, the same as of revision 0003" in noria("migrate", "--dry-run").stdout
    assert "would number these tables 0003" in noria("migrate", "--dry-run").stdout
    assert noria("migrate").returncode == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select version_num from ops.alembic_version").fetchall() == [(revisions()[-1],)]


def test_newer_tables_are_refused_without_a_traceback(noria, database_url):
    noria("migrate")
    with psycopg.connect(database_url) as connection:
        connection.execute("update ops.alembic_version set version_num = '9999'")
    for command in (("migrate",), ("migrate", "--dry-run"), ("audit", "list")):
        result = noria(*command)
        assert result.returncode == 1
        assert "tables of revision 9999" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e300", "0"])
def test_a_lock_timeout_that_is_no_time_is_refused(seconds):
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["--lock-timeout", seconds])
    assert result.exit_code == 2, result.output
