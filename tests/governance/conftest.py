from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from noria.data.postgres.warehouse import Warehouse
from noria.release.audit import AuditTrail


class TickingClock:
    """A second later every time it is asked."""

    def __init__(self) -> None:
        self._now = datetime(2024, 5, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    warehouse = Warehouse(database_url)
    warehouse.migrate()
    yield warehouse.engine
    warehouse.close()


@pytest.fixture
def audit(engine: sa.Engine) -> AuditTrail:
    return AuditTrail(engine, TickingClock())
