"""Moves predictions from the journal to PostgreSQL in the background: at most a second late, never lost, never twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import psycopg

from serving.journal import Backlog, Journal, Segment
from serving.metrics import Metrics
from serving.prediction_table import PredictionTable, Row, rows_of

_log = logging.getLogger(__name__)
_SEGMENTS_AT_ONCE = 8  # of 2 MB: what one transaction holds in memory
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class LogState:
    """How the log is doing.

    Attributes:
        trouble: why PostgreSQL does not take predictions at the moment; empty when it does.
        journal_trouble: why the journal cannot be written; empty when it can.
    """

    backlog: Backlog
    trouble: str
    journal_trouble: str


class PredictionLog:
    """One background thread between a journal and a table."""

    def __init__(self, journal: Journal, url: str, metrics: Metrics, pause: float = 1.0) -> None:
        self._journal = journal
        self._table = PredictionTable(url) if url else None
        self._metrics = metrics
        self._pause = self._shortest_pause = pause
        self._trouble = "" if url else "NORIA_WAREHOUSE_URL is not set; predictions stay in the journal"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier process left in the journal goes first."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is left if PostgreSQL answers; else it stays in the journal for the next start."""
        self._stopping.set()
        self._thread.join(30)
        if self._table:
            self._table.close()

    def append(self, line: bytes) -> None:
        """Keep one line for good. Raises JournalError when the disk refuses."""
        self._journal.append(line)

    @property
    def state(self) -> LogState:
        """How it is doing."""
        return LogState(self._journal.backlog(), self._trouble, self._journal.failure)

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            self._store_or_wait()
        self._store_or_wait()
        self._journal.seal()

    def _store_or_wait(self) -> None:
        """Store everything that is finished; a failure lengthens the pause and is told once."""
        if self._table is None:
            return
        self._journal.seal()
        try:
            while self._store_some(self._table):
                pass
        except (psycopg.Error, OSError) as error:
            self._table.close()
            self._pause = min(max(self._pause * 2, 1.0), _LONGEST_PAUSE)
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            if reason != self._trouble:
                _log.warning("predictions stay in the journal, PostgreSQL does not take them: %s", reason)
            self._trouble = reason
            return
        if self._trouble:
            _log.info("PostgreSQL takes predictions again")
        self._trouble, self._pause = "", self._shortest_pause

    def _store_some(self, table: PredictionTable) -> bool:
        """Store a few segments in one transaction, then remove them: killed in between, they are stored again, once."""
        segments = list(islice(self._journal.finished(), _SEGMENTS_AT_ONCE))
        try:
            rows = [row for segment in segments for row in self._read(segment)]
            if rows:
                self._metrics.stored.inc(self._insert(table, rows))
        except BaseException:
            for segment in segments:
                segment.close()
            raise
        for segment in segments:
            segment.remove()
        return bool(segments)

    def _insert(self, table: PredictionTable, rows: Sequence[Row]) -> int:
        try:
            return table.insert(rows)
        except psycopg.DataError as error:
            if len(rows) == 1:
                self._set_aside(repr(rows[0]).encode(), str(error).splitlines()[0])
                return 0
        middle = len(rows) // 2  # one row that PostgreSQL cannot hold must not keep the others out
        return self._insert(table, rows[:middle]) + self._insert(table, rows[middle:])

    def _read(self, segment: Segment) -> list[Row]:
        rows: list[Row] = []
        for line in segment.lines():
            try:
                rows += list(rows_of(line))
            except ValueError as error:
                self._set_aside(line, str(error))
        return rows

    def _set_aside(self, content: bytes, reason: str) -> None:
        """Keep what cannot be stored where a person can look at it."""
        path = self._journal.folder / "set_aside.txt"
        with path.open("ab") as file:
            file.write(content + b"\n")
        self._metrics.set_aside.inc()
        _log.error("a prediction cannot be stored and was set aside in %s: %s", path, reason)
