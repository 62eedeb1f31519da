"""The log of predictions: on disk before a response is sent, in PostgreSQL soon after; refuse or answer if it is full."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from noria.settings import WhenLogFull
from serving.contract.errors import JournalFullError
from serving.journal.background_log import BackgroundLog, LogState
from serving.journal.journal import Journal, Level
from serving.journal.prediction_table import PredictionTable

__all__ = ["LogState", "PredictionLog"]


class Counter(Protocol):
    """Counts up."""

    def inc(self, amount: float = 1) -> None:
        """Add an amount."""
        ...


class LogMetrics(Protocol):
    """Counters of the prediction log; `serving.observability.metrics.Metrics` has them."""

    @property
    def stored(self) -> Counter:
        """Predictions stored in PostgreSQL."""
        ...

    @property
    def set_aside(self) -> Counter:
        """Journal lines that cannot be stored."""
        ...

    @property
    def unlogged(self) -> Counter:
        """Predictions that were answered and not recorded."""
        ...


class PredictionLog(BackgroundLog):
    """Keeps one line for each request that is answered."""

    what = "predictions"

    def __init__(
        self,
        journal: Journal,
        url: str,
        metrics: LogMetrics,
        pause: float = 1.0,
        when_full: WhenLogFull = WhenLogFull.REFUSE,
    ) -> None:
        """Start nothing yet.

        Args:
            journal: keeps lines until PostgreSQL has them.
            url: of PostgreSQL; empty if there is none.
            metrics: counts what was stored.
            pause: seconds between two looks at the journal.
            when_full: whether to refuse predictions that cannot be logged, or to answer them.
        """
        super().__init__(journal, PredictionTable(url) if url else None, pause)
        self._metrics = metrics
        self._when_full = when_full
        self._unlogged = 0

    def append(self, line: bytes, predictions: int = 1) -> bool:
        """Write one line to the journal.

        Args:
            line: the journal line, newline included.
            predictions: number of predictions in it, counted if they are not kept.

        Returns:
            Whether it was kept; False if the journal is full and the setting says to answer nevertheless.

        Raises:
            JournalFullError: the journal is full, and the setting says to refuse.
            JournalError: the disk refuses.
        """
        try:
            self._journal.append(line)
        except JournalFullError:
            if self._when_full is WhenLogFull.REFUSE:
                raise
            self._unlogged += predictions
            self._metrics.unlogged.inc(predictions)
            return False
        return True

    @property
    def state(self) -> LogState:
        """State of the log; a full journal is no trouble if the setting says to answer nevertheless."""
        state = super().state
        answers_on = self._when_full is WhenLogFull.ANSWER and self._journal.level is Level.FULL
        return replace(state, journal_trouble="" if answers_on else state.journal_trouble, unlogged=self._unlogged)

    def count_stored(self, rows: int) -> None:
        """Count rows that were new to the table."""
        super().count_stored(rows)
        self._metrics.stored.inc(rows)

    def count_set_aside(self) -> None:
        """Count a line or a row that cannot be stored."""
        super().count_set_aside()
        self._metrics.set_aside.inc()
