"""Services whose parts are all in memory, so that a job runs in milliseconds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from noria.bootstrap import Services
from noria.data.postgres.warehouse import Warehouse
from noria.settings import Settings
from noria.testing.audit_trail import InMemoryAuditTrail
from noria.testing.clock import ManualClock
from noria.testing.key_store import InMemoryKeyStore
from noria.testing.mailer import RecordingMailer
from noria.testing.registry import InMemoryRegistry


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
    def registry(self) -> InMemoryRegistry:
        """The model registry."""
        return InMemoryRegistry()

    @cached_property
    def audit(self) -> InMemoryAuditTrail:
        """The audit trail."""
        return InMemoryAuditTrail(self.clock)

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
