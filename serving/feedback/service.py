"""Takes what apps say came true, and writes it down before anybody is told that it was accepted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from noria.core.base.clock import Clock
from noria.core.base.errors import InstanceError
from serving.contract.prediction_id import uuid7
from serving.feedback.request import FeedbackItem, read_statements
from serving.feedback.table import FeedbackLine, FeedbackRecord, FeedbackTable, journal_line
from serving.journal.background_log import BackgroundLog
from serving.journal.journal import Journal
from serving.models.served_model import ServedModel

_encode = msgspec.json.Encoder().encode


class AcceptedFeedback(msgspec.Struct, gc=False):
    """The answer for one statement."""

    id: str
    """Of the statement: what to ask for it by."""
    status: str = "accepted"


class FeedbackReceipt(msgspec.Struct, gc=False):
    """The answer for a request."""

    use_case: str
    feedback: list[AcceptedFeedback]
    """In the order they were sent."""


class FeedbackLog(BackgroundLog):
    """Moves feedback from its journal to `ops.feedback`."""

    what = "statements"

    def __init__(self, journal: Journal, url: str, pause: float = 1.0) -> None:
        """Nothing runs yet.

        Args:
            journal: keeps lines until PostgreSQL has them.
            url: of PostgreSQL; empty where there is none.
            pause: seconds between two looks at the journal.
        """
        super().__init__(journal, FeedbackTable(url) if url else None, pause)

    def append(self, line: bytes) -> None:
        """Keep one line for good.

        Raises:
            JournalFullError: there is no room: feedback is never accepted without being kept.
            JournalError: the disk refuses.
        """
        self._journal.append(line)


class FeedbackService:
    """Where feedback is handed in.

    Args:
        record: keeps one journal line for good; an answer exists only after it has returned.
        clock: gives the time at which feedback was received.
    """

    def __init__(self, record: Callable[[bytes], object], clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def take(self, body: bytes, model: ServedModel, caller: str, request_id: str) -> bytes:
        """Take a request; returns the answer's JSON.

        Args:
            body: JSON, ``{"feedback": [{"id": ..., "label": ...}, {"entity": ..., "label": ...}]}``.
            model: any version of the use case that it is about.
            caller: name of the API key; empty where nobody needs one.
            request_id: the caller's, or ours.

        Raises:
            MalformedBodyError: not JSON, or not of that shape.
            BodyTooLargeError: more than 1,000 statements.
            InstanceError: a label that is none of the use case, a prediction id that is none; lists all of them.
            JournalError: it cannot be kept; nothing of it was accepted.
        """
        now = self._clock.now()
        statements, problems = read_statements(body, model.use_case, now, model.pseudonymiser)
        if problems:
            raise InstanceError(problems)
        # of two statements about the same in one request the later one counts: its id is the greater
        ids = sorted(uuid7(now) for _ in statements)
        feedback = [self._statement(identity, said, now) for identity, said in zip(ids, statements, strict=True)]
        line = FeedbackLine(
            use_case=model.name, received_at=now.isoformat(), request_id=request_id, caller=caller, feedback=feedback
        )
        self._record(journal_line(line))
        return _encode(FeedbackReceipt(model.name, [AcceptedFeedback(statement.id) for statement in feedback]))

    @staticmethod
    def _statement(identity: str, said: FeedbackItem, now: datetime) -> FeedbackRecord:
        return FeedbackRecord(
            id=identity,
            prediction_id=said.prediction_id,
            entity=said.entity,
            event_time=said.event_time.isoformat() if said.event_time else None,
            label=said.label,
            at=(said.at or now).isoformat(),
        )
