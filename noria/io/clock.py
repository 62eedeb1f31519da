"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """`noria.core.base.clock.Clock` of the machine."""

    def now(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC)
