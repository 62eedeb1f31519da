from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from noria.governance.audit import AuditTrail


class TickingClock:
    """A second later every time it is asked."""

    def __init__(self) -> None:
        self._now = datetime(2024, 5, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@pytest.fixture
def engine(database_url: str, project: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql((project / "noria/data/schema.sql").read_text())
    yield engine
    engine.dispose()


@pytest.fixture
def audit(engine: sa.Engine) -> AuditTrail:
    return AuditTrail(engine, TickingClock())
