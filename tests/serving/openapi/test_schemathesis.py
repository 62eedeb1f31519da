"""What the OpenAPI document says is what the server does: requests drawn from it, right ones and wrong ones.

A real process with one use case of each task. What the document allows is answered, what it does not allow is refused, every
answer has a documented status, type, headers and shape, and nothing is a server error.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from noria.settings import Settings
from noria.testing.builders import write_use_case
from tests.serving.bundles import BINARY, REGRESSION, Bundle

TASKS = (BINARY, "multiclass", REGRESSION)
FEATURES = """
create schema if not exists features;
create table features.ftr_parcels (
    parcel_id text, promised_at timestamptz, weight double precision, hour double precision, depot text
);
insert into features.ftr_parcels values ('example-1', '2024-05-01', 3.5, 19, 'north');
"""
# What a schema cannot say, and 422 does: that PostgreSQL stores no NUL, that a model's sum is no double any more (some go to
# the edge of every number), that an instant lies in the future (see the hooks).
CONFIG = """
hooks = "hooks.py"

[generation]
allow-x00 = false

[checks]
negative_data_rejection.expected-statuses = [400, 404, 405, 409, 413, 422]

[[operations]]
include-path = "/v1/use_regression/predict"
checks.positive_data_acceptance.expected-statuses = [200, 404, 409, 422]
"""
HOOKS = """
import schemathesis

@schemathesis.hook
def filter_body(context, body):
    statements = body.get("feedback") if isinstance(body, dict) else None
    return not isinstance(statements, list) or not any(lies_ahead(statement) for statement in statements)

def lies_ahead(statement):
    at = statement.get("at") if isinstance(statement, dict) else None
    return isinstance(at, str) and at >= "2024"
"""


@pytest.fixture
def url(
    settings: Settings,
    table: str,
    make_bundle: Callable[..., Bundle],
    on_disk: Callable[[Bundle, str], None],
    serve: Callable[[Settings], Any],
) -> str:
    """Where a server answers that has a trained version of each task, and the features of one parcel."""
    with psycopg.connect(table, autocommit=True) as connection:
        connection.execute(FEATURES)
    for seed, task in enumerate(TASKS):
        write_use_case(settings.use_cases, name=f"use_{task}", task=task)
        on_disk(make_bundle(seed, use_case=f"use_{task}", task=task), "3")
    return f"http://127.0.0.1:{serve(settings.model_copy(update={'warehouse_url': SecretStr(table)})).port}"


def test_every_operation_conforms_to_the_document(url: str, tmp_path: Path) -> None:
    paths = httpx.get(f"{url}/openapi.json", timeout=30).json()["paths"]
    assert {f"/v1/use_{task}/{what}" for task in TASKS for what in ("predict", "feedback")} <= set(paths)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    (tmp_path / "hooks.py").write_text(HOOKS)

    # its own command, since its plugin follows pytest's internals, which move
    command = [
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", f"{url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "7", "--no-shrink"),
        *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run.returncode == 0, short(run.stdout) + run.stderr[-2_000:]
    assert "No issues found" in run.stdout, short(run.stdout)


def short(report: str) -> str:
    """Without requests of a thousand instances."""
    return "\n".join(line[:300] for line in report.splitlines())[-12_000:]
