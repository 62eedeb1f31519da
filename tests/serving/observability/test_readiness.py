"""Readiness and warnings of a process."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI

from noria.inference.predictor import baseline_predictor
from noria.testing.builders import a_use_case
from serving.journal.background_log import LogState
from serving.journal.segment import Backlog
from serving.models.served_model import Origin, ServedModel
from serving.observability.lifecycle import Lifecycle, ProcessPhase, lifecycle_of
from serving.observability.readiness import DependencyHealth, readiness_of

FINE = DependencyHealth(registry_trouble="", refused={}, predictions=LogState(Backlog(1, 200), "", ""))


@pytest.fixture
def models(tmp_path):
    use_case = a_use_case(tmp_path, name="parcels")
    return [ServedModel(use_case, baseline_predictor(use_case), "0", "", datetime(2026, 1, 1, tzinfo=UTC), Origin.RULE)]


def test_readiness_no_trouble_is_ready_without_warnings(models):
    found = readiness_of(models, ProcessPhase.SERVING, FINE)
    assert found.ready
    assert (found.reason, found.warnings) == ("", ())
    assert found.versions == {"parcels": "0"}
    assert found.predictions.journal_bytes == 200


@pytest.mark.parametrize(
    ("phase", "reason"), [(ProcessPhase.STARTING, "starting"), (ProcessPhase.DRAINING, "it is stopping")]
)
def test_readiness_starting_or_draining_is_not_ready(models, phase, reason):
    found = readiness_of(models, phase, FINE)
    assert not found.ready
    assert reason in found.reason


def test_readiness_no_use_case_is_not_ready():
    found = readiness_of([], ProcessPhase.SERVING, FINE)
    assert not found.ready
    assert "add a folder with a use_case.yaml" in found.reason


def test_readiness_unwritable_journal_is_not_ready(models):
    full = replace(FINE, predictions=LogState(Backlog(9, 900), "", "the journal is full"))
    assert readiness_of(models, ProcessPhase.SERVING, full).reason == "the journal is full"
    # feedback that cannot be recorded does not stop predictions
    assert readiness_of(models, ProcessPhase.SERVING, replace(FINE, feedback=full.predictions)).ready


def test_readiness_dependency_trouble_is_a_warning_only(models):
    behind = DependencyHealth(
        registry_trouble="connection refused",
        refused={"parcels": "version 3: damaged"},
        predictions=LogState(
            Backlog(8, 850), "no route to host", "", warning="the journal holds 85 % of its limit", unlogged=1200
        ),
        feedback=LogState(Backlog(0, 0), "no route to host", ""),
        rolled_back={"parcels": "version 4 answered NaN"},
        others=("keys are as they were at 12:00",),
    )
    found = readiness_of(models, ProcessPhase.SERVING, behind)
    assert found.ready
    expected = (
        ("model registry", "connection refused"),
        ("predictions", "no route to host"),
        ("85 % of its limit",),
        ("1,200 predictions", "not recorded"),
        ("feedback", "no route to host"),
        ("parcels", "version 3: damaged"),
        ("parcels", "rolled back", "version 4 answered NaN"),
        ("keys are as they were",),
    )
    assert len(found.warnings) == len(expected)
    for warning, words in zip(found.warnings, expected, strict=True):
        assert all(word in warning for word in words), warning


def test_a_lifecycle_goes_one_way():
    lifecycle = Lifecycle()
    assert lifecycle.phase is ProcessPhase.SERVING  # an app that no server of ours runs
    lifecycle.starting()
    assert lifecycle.phase is ProcessPhase.STARTING
    lifecycle.drain()
    lifecycle.started()  # a stop in mid-start stays one
    assert lifecycle.phase is ProcessPhase.DRAINING


def test_an_app_has_one_lifecycle():
    app = FastAPI()
    assert lifecycle_of(app) is lifecycle_of(app)
    assert lifecycle_of(app) is not lifecycle_of(FastAPI())
