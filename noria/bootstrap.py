"""The composition root: the only place that chooses adapters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from noria.core.base.clock import Clock
from noria.core.base.errors import SettingsError
from noria.core.use_case import UseCase
from noria.io.catalog import FILE_NAME, Catalog, load_catalog, load_use_case
from noria.io.clock import SystemClock
from noria.ports.model_registry import ModelRegistry
from noria.settings import Settings, load_settings, source_url

if TYPE_CHECKING:
    from noria.data.postgres.warehouse import Warehouse
    from noria.ports.audit_trail import AuditTrail
    from noria.ports.data_steps import DataSteps
    from noria.ports.feature_store import FeatureStore
    from noria.ports.key_store import KeyStore
    from noria.ports.mailer import Mailer
    from noria.ports.prediction_store import BatchPredictions, ServedPredictions
    from noria.ports.schema import Schema
    from noria.ports.verdict_store import VerdictStore
    from noria.reports.history import VersionHistory


@dataclass(frozen=True)
class Services:
    """Services of jobs, made when first asked for, so that a job pays only for what it uses."""

    settings: Settings
    clock: Clock

    @cached_property
    def catalog(self) -> Catalog:
        """All use cases."""
        return load_catalog(self.settings.use_cases)

    def folder(self, use_case: UseCase) -> Path:
        """Folder of a use case's files."""
        return self.settings.use_cases / use_case.name

    def use_case(self, name: str) -> UseCase:
        """One use case, independent of mistakes in the others.

        Raises:
            UseCaseError: it is not there, or does not say what it must.
        """
        return load_use_case(self.settings.use_cases / name / FILE_NAME)

    @cached_property
    def warehouse(self) -> Warehouse:
        """PostgreSQL with the tables of this release.

        Raises:
            SchemaError: Noria's tables are missing, older or newer.
        """
        from noria.data.migrations.schema import check_schema

        check_schema(self.database)
        return self.database

    @cached_property
    def database(self) -> Warehouse:
        """PostgreSQL with tables of any release or none, for `noria migrate`.

        Raises:
            SettingsError: NORIA_WAREHOUSE_URL is empty or not a URL of PostgreSQL.
        """
        from noria.data.postgres.warehouse import Warehouse

        url = self.settings.warehouse_url.get_secret_value()
        if not url:
            raise SettingsError("NORIA_WAREHOUSE_URL is not set: run `noria up`, or give a postgresql:// URL")
        return Warehouse(url)

    @cached_property
    def schema(self) -> Schema:
        """Noria's tables in the database, of any release or none."""
        from noria.data.migrations.schema import PostgresSchema

        return PostgresSchema(self.database)

    @cached_property
    def data_steps(self) -> DataSteps:
        """Ingest, validate and transform."""
        from noria.data.steps import WarehouseSteps

        settings = self.settings
        return WarehouseSteps(
            warehouse=self.warehouse,
            clock=self.clock,
            use_cases=settings.use_cases,
            dbt_project=settings.dbt_project,
            dbt_state=settings.home / "dbt",
            source_url=source_url,
            pseudonym_key=settings.pseudonym_key.get_secret_value(),
        )

    @cached_property
    def registry(self) -> ModelRegistry:
        """The model registry."""
        from noria.registry.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.settings.mlflow_url)

    @cached_property
    def audit(self) -> AuditTrail:
        """The audit trail: who promoted what, and why."""
        from noria.release.audit import PostgresAuditTrail

        return PostgresAuditTrail(self.warehouse.engine, self.clock)

    @cached_property
    def features(self) -> FeatureStore:
        """Features and labels."""
        from noria.data.tables.feature_store import PostgresFeatureStore

        return PostgresFeatureStore(self.warehouse)

    @cached_property
    def predictions(self) -> BatchPredictions:
        """Predictions of intervals."""
        from noria.data.tables.prediction_store import PostgresBatchPredictions

        return PostgresBatchPredictions(self.warehouse)

    @cached_property
    def served(self) -> ServedPredictions:
        """Predictions that serving has given."""
        from noria.data.tables.prediction_store import PostgresServedPredictions

        return PostgresServedPredictions(self.warehouse)

    @cached_property
    def history(self) -> VersionHistory:
        """Facts of the warehouse about versions."""
        from noria.reports.history import PostgresVersionHistory

        return PostgresVersionHistory(self.warehouse.engine)

    @cached_property
    def verdicts(self) -> VerdictStore:
        """Verdicts of monitoring, the money ledger, and requests to retrain."""
        from noria.data.tables.verdicts import PostgresVerdictStore

        return PostgresVerdictStore(self.warehouse)

    @cached_property
    def keys(self) -> KeyStore:
        """API keys of serving."""
        from noria.data.tables.api_keys import PostgresKeyStore

        return PostgresKeyStore(self.warehouse)

    @cached_property
    def mailer(self) -> Mailer:
        """E-mail with a delivery record; failures are mailed with tables of another release, too."""
        from noria.notify.mailer import SmtpMailer

        return SmtpMailer(self.settings, self.database.engine, self.clock)


def bootstrap(settings: Settings | None = None, clock: Clock | None = None) -> Services:
    """Services as the settings say; tests pass their own settings and clock."""
    return Services(settings=settings or load_settings(), clock=clock or SystemClock())
