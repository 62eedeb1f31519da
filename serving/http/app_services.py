"""Services of a running app, typed, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from noria.core.base.clock import Clock
from noria.settings import Settings, traces_wanted
from serving.access.authenticator import Authenticator, make_authenticator
from serving.feedback.service import FeedbackLog, FeedbackService
from serving.journal.journal import Journal
from serving.journal.prediction_log import PredictionLog
from serving.models.bundle_loader import BundleLoader
from serving.models.bundle_store import BundleStore
from serving.models.challengers import Challengers
from serving.models.champions import Champions
from serving.models.model_source import ModelSource
from serving.models.registry_client import RegistryClient
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import ServedModels
from serving.models.use_case_files import UseCaseFiles
from serving.observability.lifecycle import Lifecycle
from serving.observability.live_state import LiveState
from serving.observability.metrics import Metrics
from serving.observability.readiness import DependencyHealth, Readiness, readiness_of
from serving.observability.tracing import Tracing
from serving.predict.online_store import OnlineStore
from serving.predict.service import PredictionService


@dataclass(frozen=True)
class AppServices:
    """Everything that answers requests."""

    models: ServedModels
    source: ModelSource
    rollouts: ActiveRollouts
    authenticator: Authenticator
    predictions: PredictionService
    online_store: OnlineStore
    prediction_log: PredictionLog
    feedback: FeedbackService
    feedback_log: FeedbackLog
    metrics: Metrics
    tracing: Tracing
    lifecycle: Lifecycle
    clock: Clock

    def start(self) -> None:
        """Start background threads; returns when a new replica has keys and champions."""
        self.tracing.start()
        self.prediction_log.start()
        self.feedback_log.start()
        self.rollouts.start()
        self.authenticator.keys.start()
        self.source.start()
        self.metrics.workers.inc()
        self.lifecycle.started()

    def stop(self) -> None:
        """Stop them; what requests have left in the journals goes to PostgreSQL if that answers."""
        self.predictions.close()
        self.source.stop()
        self.authenticator.keys.stop()
        self.rollouts.close()
        self.prediction_log.stop()
        self.feedback_log.stop()
        self.tracing.stop()

    @property
    def readiness(self) -> Readiness:
        """Whether to send requests here, and what a person should look at."""
        keys = self.authenticator.keys.trouble
        health = DependencyHealth(
            registry_trouble=self.source.trouble,
            refused=self.source.refused,
            predictions=self.prediction_log.state,
            feedback=self.feedback_log.state,
            rolled_back=self.rollouts.rolled_back,
            others=(*([keys] if keys else ()), *(f"{name}: {text}" for name, text in self.source.mistakes.items())),
        )
        return readiness_of(self.models, self.lifecycle.phase, health)


def assemble(settings: Settings, clock: Clock) -> AppServices:
    """Make the services; nothing runs yet, and nothing outside the state folder is needed.

    Raises:
        SettingsError: settings that contradict each other.
    """
    url = settings.warehouse_url.get_secret_value()
    models, metrics, online_store = ServedModels(), Metrics(), OnlineStore(url)
    rollouts = ActiveRollouts(settings.serving_state / "rollouts", clock, metrics)
    journal = _journal(settings, clock, "journal")
    prediction_log = PredictionLog(journal, url, metrics, when_full=settings.serving_when_log_full)
    feedback_log = FeedbackLog(_journal(settings, clock, "feedback"), url)
    metrics.show(LiveState(models, rollouts, journal))
    return AppServices(
        models=models,
        source=_model_source(settings, clock, models, rollouts, metrics),
        rollouts=rollouts,
        authenticator=make_authenticator(settings, clock, settings.serving_workers),
        predictions=PredictionService(clock, prediction_log.append, metrics, rollouts, online_store),
        online_store=online_store,
        prediction_log=prediction_log,
        feedback=FeedbackService(feedback_log.append, clock),
        feedback_log=feedback_log,
        metrics=metrics,
        tracing=Tracing(traces_wanted()),
        lifecycle=Lifecycle(),
        clock=clock,
    )


def _journal(settings: Settings, clock: Clock, folder: str) -> Journal:
    return Journal(settings.serving_state / folder, clock, limit_bytes=settings.serving_journal_mb * 1024 * 1024)


def _model_source(
    settings: Settings, clock: Clock, models: ServedModels, rollouts: ActiveRollouts, metrics: Metrics
) -> ModelSource:
    registry = RegistryClient(settings.mlflow_url)
    loader = BundleLoader(registry, BundleStore(settings.serving_state))
    return ModelSource(
        UseCaseFiles(settings.use_cases, settings.serving_state / "use_cases"),
        registry,
        Champions(models, loader, metrics, clock, settings.pseudonym_key.get_secret_value()),
        Challengers(registry, loader, rollouts, clock),
        metrics=metrics,
        poll_seconds=settings.serving_poll_seconds,
    )


def services_of(request: Request) -> AppServices:
    """Services of the app that got a request."""
    services: AppServices = request.app.state.services
    return services
