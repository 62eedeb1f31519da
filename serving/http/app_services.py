"""The parts of a running app, typed, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from noria.core.base.clock import Clock
from noria.settings import Settings, traces_wanted
from serving.access.authenticator import Authenticator, make_gatekeeper
from serving.feedback.service import FeedbackLog, FeedbackService
from serving.journal.journal import Journal
from serving.journal.prediction_log import PredictionLog
from serving.models.bundle_store import BundleStore
from serving.models.model_source import ModelSource
from serving.models.registry_client import RegistryClient
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import ServedModels
from serving.models.use_case_files import UseCaseFiles
from serving.observability.lifecycle import Lifecycle
from serving.observability.metrics import Metrics, RolloutFigure
from serving.observability.readiness import DependencyHealth, Readiness, readiness_of
from serving.observability.tracing import Tracing
from serving.predict.online_store import OnlineStore
from serving.predict.service import PredictionService


@dataclass(frozen=True)
class AppServices:
    """What requests are answered with."""

    models: ServedModels
    source: ModelSource
    rollouts: ActiveRollouts
    gate: Authenticator
    service: PredictionService
    online: OnlineStore
    log: PredictionLog
    feedback_log: FeedbackLog
    feedback: FeedbackService
    metrics: Metrics
    tracing: Tracing
    lifecycle: Lifecycle
    clock: Clock

    def start(self) -> None:
        """Start what runs in the background; returns when a new replica knows keys and champions."""
        self.tracing.start()
        self.log.start()
        self.feedback_log.start()
        self.rollouts.start()
        self.gate.keys.start()
        self.source.start()
        self.metrics.workers.inc()
        self.lifecycle.started()

    def stop(self) -> None:
        """Stop it; what requests have left in the journals goes to PostgreSQL if that answers."""
        self.service.close()
        self.source.stop()
        self.gate.keys.stop()
        self.rollouts.close()
        self.log.stop()
        self.feedback_log.stop()
        self.tracing.stop()

    @property
    def readiness(self) -> Readiness:
        """Whether to send requests here, and what to look at."""
        behind = DependencyHealth(
            registry_trouble=self.source.trouble,
            refused=self.source.refusals,
            predictions=self.log.state,
            feedback=self.feedback_log.state,
            rolled_back=self.source.rolled_back,
            others=(
                *((self.gate.keys.trouble,) if self.gate.keys.trouble else ()),
                *(f"{name}: {told}" for name, told in self.source.troubles.items()),
            ),
        )
        return readiness_of(self.models, self.lifecycle.phase, behind)


def assemble(settings: Settings, clock: Clock) -> AppServices:
    """Make the parts; nothing runs yet, and nothing outside the state folder is needed.

    Raises:
        SettingsError: settings that contradict each other.
    """
    state, url = settings.serving_state, settings.warehouse_url.get_secret_value()
    limit = settings.serving_journal_mb * 1024 * 1024
    models, rollouts = ServedModels(), ActiveRollouts(state / "rollouts", clock)
    journal = Journal(state / "journal", clock, limit_bytes=limit)

    def backlog() -> tuple[int, int]:
        waiting = journal.backlog()
        return waiting.segments, waiting.bytes

    def figures() -> tuple[RolloutFigure, ...]:
        active = ((model.name, rollouts.active(model.name)) for model in models)
        return tuple(
            RolloutFigure(name, found.challenger.version, 0.0 if found.shadow else found.share)
            for name, found in active
            if found is not None
        )

    metrics = Metrics(models, backlog, journal_limit=lambda: limit, rollouts=figures)
    log = PredictionLog(journal, url, metrics, when_full=settings.serving_when_log_full)
    feedback_log = FeedbackLog(Journal(state / "feedback", clock, limit_bytes=limit), url)
    online = OnlineStore(url)
    source = ModelSource(
        UseCaseFiles(settings.use_cases, state / "use_cases"),
        models,
        RegistryClient(settings.mlflow_url),
        BundleStore(state),
        rollouts,
        metrics=metrics,
        clock=clock,
        poll_seconds=settings.serving_poll_seconds,
        pseudonym_key=settings.pseudonym_key.get_secret_value(),
    )
    return AppServices(
        models=models,
        source=source,
        rollouts=rollouts,
        gate=make_gatekeeper(settings, clock, settings.serving_workers),
        service=PredictionService(clock, log.append, metrics, rollouts, online),
        online=online,
        log=log,
        feedback_log=feedback_log,
        feedback=FeedbackService(feedback_log.append, clock),
        metrics=metrics,
        tracing=Tracing(traces_wanted()),
        lifecycle=Lifecycle(),
        clock=clock,
    )


def parts_of(request: Request) -> AppServices:
    """The parts of the app that got a request."""
    parts: AppServices = request.app.state.parts
    return parts
