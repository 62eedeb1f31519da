"""Moves lines from a journal to a table in the background: at most a second late, none lost, none twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any, Protocol

import psycopg

from noria.core.base.errors import first_line
from noria.io.poller import Poller, Trouble
from serving.journal.journal import Journal, Level
from serving.journal.segment import Backlog, Segment

_log = logging.getLogger(__name__)
_SEGMENTS_AT_ONCE = 2  # of 1 MB; one transaction holds a few times that in memory
_LONGEST_PAUSE = 30.0
Row = tuple[Any, ...]


class LogTable(Protocol):
    """The table that rows are stored in."""

    def rows_of(self, line: bytes) -> Iterator[Row]:
        """The rows of one journal line. Raises ValueError if it is not a journal line."""
        ...

    def insert(self, rows: Sequence[Row]) -> int:
        """Store rows in one transaction, each once by its id; returns the number of new ones. Raises psycopg.Error."""
        ...

    def close(self) -> None:
        """Close the connection; the next insert opens another."""
        ...


@dataclass(frozen=True)
class LogState:
    """State of a log.

    Attributes:
        backlog: segments and bytes that wait in the journal.
        trouble: reason why PostgreSQL takes no rows at the moment; empty if it does.
        journal_trouble: reason why the journal cannot be written, so that requests are refused; empty if it can.
        warning: warning for the operator before requests are refused; empty if all is well.
        limit_bytes: size that the journal may reach; None for no limit.
        stored: rows stored since the start.
        set_aside: lines or rows that cannot be stored, since the start.
        unlogged: predictions that were answered while the journal was full, since the start.
    """

    backlog: Backlog
    trouble: str
    journal_trouble: str
    warning: str = ""
    limit_bytes: int | None = None
    stored: int = 0
    set_aside: int = 0
    unlogged: int = 0


class BackgroundLog:
    """One background thread between a journal and a table."""

    what = "rows"
    """Content of the lines, for log messages."""

    def __init__(self, journal: Journal, table: LogTable | None, pause: float = 1.0) -> None:
        """Start nothing yet.

        Args:
            journal: takes lines, and refuses them if it is full.
            table: takes rows; None if no database is set, so that lines stay in the journal.
            pause: seconds between two looks at the journal.
        """
        self._journal = journal
        self._table = table
        self._pause = pause
        self._retry_pause, self._retry_at = pause, 0.0
        self._trouble = Trouble(
            _log,
            f"{self.what} stay in the journal, PostgreSQL does not take them: %s",
            f"PostgreSQL takes {self.what} again",
            "" if table else f"NORIA_WAREHOUSE_URL is not set; {self.what} stay in the journal",
        )
        self._level = Level.FINE
        self._stored = self._set_aside_count = 0
        self._poller = Poller(self._round, name=f"log-of-{self.what}", seconds=pause, at_end=self._finish)

    def start(self) -> None:
        """Begin; lines that an earlier process left in the journal go first."""
        self._poller.start()

    def stop(self) -> None:
        """Store the lines that are left if PostgreSQL answers; else they stay in the journal for the next start."""
        self._poller.stop(30)
        if self._table:
            self._table.close()

    @property
    def state(self) -> LogState:
        """State of the log."""
        journal = self._journal
        return LogState(
            backlog=journal.backlog(),
            trouble=self._trouble.reason,
            journal_trouble=journal.failure,
            warning=journal.warning,
            limit_bytes=journal.limit_bytes,
            stored=self._stored,
            set_aside=self._set_aside_count,
        )

    def count_stored(self, rows: int) -> None:
        """Count rows that were new to the table."""
        self._stored += rows

    def count_set_aside(self) -> None:
        """Count a line or a row that cannot be stored."""
        self._set_aside_count += 1

    def _round(self) -> None:
        if monotonic() >= self._retry_at:
            self._store_or_wait()
        self._look()

    def _finish(self) -> None:
        self._store_or_wait()
        self._journal.seal()

    def _look(self) -> None:
        """Measure the journal, and log it once when its level changes."""
        self._journal.measure()
        level = self._journal.level
        if level is self._level:
            return
        self._level = level
        if level is Level.FINE:
            _log.info("the journal of %s has room again", self.what)
        else:
            _log.warning("the journal of %s is %s: %s", self.what, level.value, self._journal.warning)

    def _store_or_wait(self) -> None:
        """Store everything that is finished; a failure lengthens the pause."""
        if self._table is None:
            return
        self._journal.seal()
        try:
            while self._store_some(self._table):
                self._journal.measure()
        except (psycopg.Error, OSError) as error:
            self._table.close()
            self._retry_pause = min(max(self._retry_pause * 2, 1.0), _LONGEST_PAUSE)
            self._retry_at = monotonic() + self._retry_pause
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            self._trouble.report(reason)
            return
        self._trouble.report("")
        self._retry_pause, self._retry_at = self._pause, 0.0

    def _store_some(self, table: LogTable) -> bool:
        """Store a few segments in one transaction, then remove them; after a kill in between, ids keep rows unique."""
        segments = list(islice(self._journal.finished(), _SEGMENTS_AT_ONCE))
        try:
            rows = [row for segment in segments for row in self._read(table, segment)]
            if rows:
                self.count_stored(self._insert(table, rows))
        except BaseException:
            for segment in segments:
                segment.close()
            raise
        for segment in segments:
            segment.remove()
        return bool(segments)

    def _insert(self, table: LogTable, rows: Sequence[Row]) -> int:
        try:
            return table.insert(rows)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(rows) == 1:
                self._set_aside(repr(rows[0]).encode(), first_line(error))
                return 0
        middle = len(rows) // 2  # one row that PostgreSQL refuses must not block the others
        return self._insert(table, rows[:middle]) + self._insert(table, rows[middle:])

    def _read(self, table: LogTable, segment: Segment) -> list[Row]:
        rows: list[Row] = []
        for line in segment.lines():
            try:
                rows += list(table.rows_of(line))
            except ValueError as error:
                self._set_aside(line, str(error))
        return rows

    def _set_aside(self, content: bytes, reason: str) -> None:
        """Write a line that cannot be stored to a file beside the journal, for a person to look at."""
        path = self._journal.folder / "set_aside.txt"
        with path.open("ab") as file:
            file.write(content + b"\n")
        self.count_set_aside()
        _log.error("one of the %s cannot be stored and was set aside in %s: %s", self.what, path, reason)
