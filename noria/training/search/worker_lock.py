"""The lock of a search worker: shows the other workers that its process lives.

A worker holds a PostgreSQL advisory lock for as long as its process lives. PostgreSQL releases the lock with the connection,
so a killed process is known at once, without waiting for a heartbeat (docs/adr/0032-training-libraries.md). A worker whose
connection was lost (PostgreSQL was restarted) takes its lock again at the next renewal, every few boosting rounds.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from noria.core.base.errors import NoriaError
from noria.io.advisory_locks import session_lock, try_lock_session, unlock_session
from noria.training.search.storage import connect, patiently

TAKEOVER_SECONDS = 30.0
"""Time that a killed predecessor of the same number has to lose its connection."""
_PAUSE_SECONDS = 0.5


class WorkerLock:
    """Lock of one worker of a study; a context manager.

    Args:
        study: name of the study.
        worker: its number.
        storage_url: PostgreSQL that holds the study.
        takeover_seconds: how long to wait for a predecessor of the same number.
    """

    def __init__(self, study: str, worker: int, storage_url: str, *, takeover_seconds: float = TAKEOVER_SECONDS) -> None:
        self.worker = worker
        self._study = study
        self._url = storage_url
        self._takeover_seconds = takeover_seconds
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> WorkerLock:
        patiently(self.take)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def take(self) -> None:
        """Connect, and take the lock.

        Raises:
            NoriaError: another process holds it.
        """
        if self._connection is not None:
            self._connection.close()
        self._connection = connect(self._url)
        deadline = time.monotonic() + self._takeover_seconds
        while not try_lock_session(self._connection, self._name(self.worker)):
            if time.monotonic() > deadline:
                self._connection.close()
                raise NoriaError(
                    f"search worker {self.worker} of study {self._study} is already at work in another process; wait for "
                    "it, or end it"
                )
            time.sleep(_PAUSE_SECONDS)

    def renew(self) -> None:
        """Check that the lock is still held, and take it again if PostgreSQL was restarted.

        Raises:
            NoriaError: PostgreSQL cannot be reached, or another process has taken the lock.
        """
        patiently(lambda: self._held.execute("select 1"), before_retry=self.take)

    def is_alive(self, worker: int) -> bool:
        """Whether the process of another worker lives."""
        if not try_lock_session(self._held, self._name(worker)):
            return True
        unlock_session(self._held, self._name(worker))
        return False

    def exclusively(self) -> AbstractContextManager[None]:
        """Let one worker of the study at a time into a block."""
        return session_lock(self._held, f"noria.study/{self._study}")

    @property
    def _held(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise NoriaError("a worker lock is used as a context manager")
        return self._connection

    def _name(self, worker: int) -> str:
        return f"noria.study/{self._study}/{worker}"
