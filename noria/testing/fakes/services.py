"""Services whose parts are all in memory, so that a job runs in milliseconds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from noria.bootstrap import Services
from noria.data.postgres.warehouse import Warehouse
from noria.settings import Settings
from noria.testing.clock import ManualClock
from noria.testing.fakes.audit_trail import InMemoryAuditTrail
from noria.testing.fakes.data_steps import RecordingDataSteps
from noria.testing.fakes.feature_store import InMemoryFeatureStore
from noria.testing.fakes.history import InMemoryVersionHistory
from noria.testing.fakes.key_store import InMemoryKeyStore
from noria.testing.fakes.mailer import RecordingMailer
from noria.testing.fakes.prediction_store import InMemoryBatchPredictions, InMemoryServedPredictions
from noria.testing.fakes.registry import InMemoryRegistry
from noria.testing.fakes.schema import InMemorySchema
from noria.testing.fakes.verdict_store import InMemoryVerdictStore


class InMemoryServices(Services):
    """`Services` without a server; a job that asks for the database itself fails."""

    @cached_property
    def database(self) -> Warehouse:
        """None: what needs PostgreSQL is tested on PostgreSQL.

        Raises:
            AssertionError: always.
        """
        raise AssertionError("this job asks for PostgreSQL itself: test it there, or give it a port")

    @cached_property
    def warehouse(self) -> Warehouse:
        """None, as `database`."""
        return self.database

    @cached_property
    def schema(self) -> InMemorySchema:
        """Revision of Noria's tables."""
        return InMemorySchema()

    @cached_property
    def data_steps(self) -> RecordingDataSteps:
        """Ingest, validate and transform."""
        return RecordingDataSteps()

    @cached_property
    def registry(self) -> InMemoryRegistry:
        """The model registry."""
        return InMemoryRegistry()

    @cached_property
    def audit(self) -> InMemoryAuditTrail:
        """The audit trail."""
        return InMemoryAuditTrail(self.clock)

    @cached_property
    def features(self) -> InMemoryFeatureStore:
        """Features and labels."""
        return InMemoryFeatureStore()

    @cached_property
    def predictions(self) -> InMemoryBatchPredictions:
        """Predictions of intervals."""
        return InMemoryBatchPredictions(self.features)

    @cached_property
    def served(self) -> InMemoryServedPredictions:
        """Predictions that serving has given."""
        return InMemoryServedPredictions(self.features)

    @cached_property
    def history(self) -> InMemoryVersionHistory:
        """Facts about versions."""
        return InMemoryVersionHistory()

    @cached_property
    def verdicts(self) -> InMemoryVerdictStore:
        """Verdicts, ledger and requests to retrain."""
        return InMemoryVerdictStore()

    @cached_property
    def keys(self) -> InMemoryKeyStore:
        """API keys."""
        return InMemoryKeyStore()

    @cached_property
    def mailer(self) -> RecordingMailer:
        """E-mail."""
        return RecordingMailer(self.clock, self.settings.mail_from)


def in_memory_services(home: Path, clock: ManualClock | None = None) -> InMemoryServices:
    """Services with fakes; the folder holds use cases, bundles and reports."""
    return InMemoryServices(settings=Settings(home=home, use_cases=home / "use_cases"), clock=clock or ManualClock())
