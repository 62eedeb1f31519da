"""The table of feedback in PostgreSQL, and its rows from a journal line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from serving.journal.append_table import AppendTable


class FeedbackRow(NamedTuple):
    """One row of the table."""

    id: str
    use_case: str
    prediction_id: str | None
    entity: str | None
    event_time: str | None
    label: str
    """`true` or `false`, a class, or the shortest text of a number: as decisions are in `ops.predictions`."""
    at: str
    received_at: str
    caller: str | None
    request_id: str | None


class FeedbackRecord(msgspec.Struct, kw_only=True, gc=False):
    """Label of one prediction or one entity; one of a journal line.

    Attributes:
        id: of this record.
        at: time at which it was known; the time of receipt if the app does not say.
    """

    id: str
    prediction_id: str | None = None
    entity: str | None = None
    event_time: str | None = None
    label: str
    at: str


class FeedbackLine(msgspec.Struct, kw_only=True, gc=False):
    """One line of the journal: the feedback of one request."""

    use_case: str
    received_at: str
    request_id: str
    caller: str
    feedback: list[FeedbackRecord]


_decode = msgspec.json.Decoder(FeedbackLine).decode
_encode = msgspec.json.Encoder().encode


def journal_line(line: FeedbackLine) -> bytes:
    """The line as the journal keeps it, newline included."""
    return _encode(line) + b"\n"


class FeedbackTable(AppendTable):
    """`ops.feedback`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "ops.feedback", FeedbackRow._fields)

    def rows_of(self, line: bytes) -> Iterator[FeedbackRow]:
        """The rows of one journal line.

        Raises:
            ValueError: it is not a journal line.
        """
        try:
            content = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"not a journal line: {line[:80]!r}") from error
        for record in content.feedback:
            yield FeedbackRow(
                id=record.id,
                use_case=content.use_case,
                prediction_id=record.prediction_id,
                entity=record.entity,
                event_time=record.event_time,
                label=record.label,
                at=record.at,
                received_at=content.received_at,
                caller=content.caller or None,
                request_id=content.request_id or None,
            )
