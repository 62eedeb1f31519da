"""The parts of a running app, typed, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from noria.core.clock import Clock
from noria.settings import Settings
from serving.bundle_store import BundleStore
from serving.journal import Journal
from serving.metrics import Metrics
from serving.model_source import ModelSource
from serving.prediction_log import PredictionLog
from serving.registry_client import RegistryClient
from serving.served_model import ServedModels


@dataclass(frozen=True)
class Parts:
    """What routes work with."""

    models: ServedModels
    source: ModelSource
    log: PredictionLog
    metrics: Metrics
    clock: Clock


def assemble(settings: Settings, clock: Clock) -> Parts:
    """Make the parts; nothing runs yet, and nothing outside the state folder is needed."""
    models = ServedModels()
    journal = Journal(settings.serving_state / "journal", clock)

    def backlog() -> tuple[int, int]:
        waiting = journal.backlog()
        return waiting.segments, waiting.bytes

    metrics = Metrics(models, backlog)
    source = ModelSource(
        settings.use_cases,
        models,
        RegistryClient(settings.mlflow_url),
        BundleStore(settings.serving_state),
        metrics=metrics,
        clock=clock,
        poll_seconds=settings.serving_poll_seconds,
    )
    log = PredictionLog(journal, settings.warehouse_url.get_secret_value(), metrics)
    return Parts(models, source, log, metrics, clock)


def parts_of(request: Request) -> Parts:
    """The parts of the app that got a request."""
    parts: Parts = request.app.state.parts
    return parts
