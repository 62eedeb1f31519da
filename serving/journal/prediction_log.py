"""The log of predictions: on disk before an answer is given, in PostgreSQL soon after; and what to do without room."""

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
        """Nothing runs yet.

        Args:
            journal: keeps lines until PostgreSQL has them.
            url: of PostgreSQL; empty where there is none.
            metrics: counts what was stored.
            pause: seconds between two looks at the journal.
            when_full: whether to refuse predictions that cannot be logged, or to answer them.
        """
        super().__init__(journal, PredictionTable(url) if url else None, pause)
        self._metrics = metrics
        self._when_full = when_full
        self._unlogged = 0

    def append(self, line: bytes, predictions: int = 1) -> bool:
        """Keep one line for good.

        Args:
            line: the journal line, newline included.
            predictions: how many it holds, to be counted where they are not kept.

        Returns:
            Whether it was kept; it is not where the journal is full, and the setting says to answer nevertheless.

        Raises:
            JournalFullError: there is no room, and predictions are refused then.
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
        """How it is doing; a full journal is no reason to refuse where answers go on without it."""
        state = super().state
        goes_on = self._when_full is WhenLogFull.ANSWER and self._journal.level is Level.FULL
        return replace(state, journal_trouble="" if goes_on else state.journal_trouble, unlogged=self._unlogged)

    def count_stored(self, rows: int) -> None:
        """Count rows that were new to the table."""
        super().count_stored(rows)
        self._metrics.stored.inc(rows)

    def count_set_aside(self) -> None:
        """Count a line or a row that cannot be stored."""
        super().count_set_aside()
        self._metrics.set_aside.inc()
