"""Accepts feedback of apps, and records it before the response says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from noria.core.base.clock import Clock
from noria.core.base.errors import InstanceError
from serving.contract.prediction_id import uuid7
from serving.feedback.request import FeedbackItem, read_feedback
from serving.feedback.table import FeedbackLine, FeedbackRecord, FeedbackTable, journal_line
from serving.journal.background_log import BackgroundLog
from serving.journal.journal import Journal
from serving.models.served_model import ServedModel

_encode = msgspec.json.Encoder().encode


class AcceptedFeedback(msgspec.Struct, gc=False):
    """The answer for one item."""

    id: str
    """Identifier of the stored feedback."""
    status: str = "accepted"


class FeedbackReceipt(msgspec.Struct, gc=False):
    """The answer for a request."""

    use_case: str
    feedback: list[AcceptedFeedback]
    """In the order of the request."""


class FeedbackLog(BackgroundLog):
    """Moves feedback from its journal to `ops.feedback`."""

    what = "feedback rows"

    def __init__(self, journal: Journal, url: str, pause: float = 1.0) -> None:
        """Start nothing yet.

        Args:
            journal: keeps lines until PostgreSQL has them.
            url: of PostgreSQL; empty if there is none.
            pause: seconds between two looks at the journal.
        """
        super().__init__(journal, FeedbackTable(url) if url else None, pause)

    def append(self, line: bytes) -> None:
        """Write one line to the journal.

        Raises:
            JournalFullError: the journal is full: feedback is never accepted without being kept.
            JournalError: the disk refuses.
        """
        self._journal.append(line)


class FeedbackService:
    """Accepts feedback.

    Args:
        record: writes one journal line; the response exists only after it has returned.
        clock: dates the receipt of feedback.
    """

    def __init__(self, record: Callable[[bytes], object], clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def take(self, body: bytes, model: ServedModel, caller: str, request_id: str) -> bytes:
        """Accept a request; returns the JSON of the response.

        Args:
            body: JSON, ``{"feedback": [{"id": ..., "label": ...}, {"entity": ..., "label": ...}]}``.
            model: any version of the use case.
            caller: name of the API key; empty if no key is needed.
            request_id: the caller's, or a new one.

        Raises:
            MalformedBodyError: not JSON, or not of that shape.
            BodyTooLargeError: more than 1,000 items.
            InstanceError: labels or prediction ids that are not valid; lists all of them.
            JournalError: it cannot be recorded; nothing of it was accepted.
        """
        now = self._clock.now()
        items, problems = read_feedback(body, model.use_case, now, model.pseudonymiser)
        if problems:
            raise InstanceError(problems)
        # of two items about the same in one request the later one counts: its id is the greater
        ids = sorted(uuid7(now) for _ in items)
        feedback = [_record(identity, item, now) for identity, item in zip(ids, items, strict=True)]
        line = FeedbackLine(
            use_case=model.name, received_at=now.isoformat(), request_id=request_id, caller=caller, feedback=feedback
        )
        self._record(journal_line(line))
        return _encode(FeedbackReceipt(model.name, [AcceptedFeedback(record.id) for record in feedback]))


def _record(identity: str, item: FeedbackItem, now: datetime) -> FeedbackRecord:
    return FeedbackRecord(
        id=identity,
        prediction_id=item.prediction_id,
        entity=item.entity,
        event_time=item.event_time.isoformat() if item.event_time else None,
        label=item.label,
        at=(item.at or now).isoformat(),
    )
