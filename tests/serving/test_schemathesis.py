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
import pytest

from noria.settings import Settings
from noria.testing.builders import write_use_case
from tests.serving.bundles import BINARY, REGRESSION, Bundle

TASKS = (BINARY, "multiclass", REGRESSION)
ROUTES = 5
"""Predictions, feedback and facts of each use case are among them, and what operators ask."""


@pytest.fixture
def url(
    settings: Settings,
    make_bundle: Callable[..., Bundle],
    on_disk: Callable[[Bundle, str], None],
    serve: Callable[[Settings], Any],
) -> str:
    """Where a server answers that has a trained version of each task."""
    for seed, task in enumerate(TASKS):
        write_use_case(settings.use_cases, name=f"use_{task}", task=task)
        on_disk(make_bundle(seed, use_case=f"use_{task}", task=task), "3")
    return f"http://127.0.0.1:{serve(settings).port}"


def test_every_operation_does_what_the_document_says(url: str, tmp_path: Path) -> None:
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    assert {f"/v1/use_{task}/predict" for task in TASKS} <= set(paths)

    # its own command, since its plugin follows pytest's internals, which move
    command = [
        *(Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json", "--max-examples", "10", "--seed", "7"),
        *("--phases", "examples,coverage,fuzzing", "--no-shrink", "--continue-on-failure", "--suppress-health-check", "all"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2_000:]
    assert "No issues found" in run.stdout, run.stdout
