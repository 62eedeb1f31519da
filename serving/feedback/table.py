"""The table of feedback in PostgreSQL, and how a journal line becomes its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from serving.journal.append_table import AppendTable


class FeedbackRow(NamedTuple):
    """One statement, as the table has it."""

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
    """What came true, of one prediction or of one entity; one of a journal line.

    Attributes:
        id: of this statement.
        at: when it was known: as the app says, else when it was received.
    """

    id: str
    prediction_id: str | None = None
    entity: str | None = None
    event_time: str | None = None
    label: str
    at: str


class FeedbackLine(msgspec.Struct, kw_only=True, gc=False):
    """One line of the journal of feedback: what one request said."""

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
        """The statements of one journal line.

        Raises:
            ValueError: it is no journal line.
        """
        try:
            found = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"not a journal line: {line[:80]!r}") from error
        for said in found.feedback:
            yield FeedbackRow(
                id=said.id,
                use_case=found.use_case,
                prediction_id=said.prediction_id,
                entity=said.entity,
                event_time=said.event_time,
                label=said.label,
                at=said.at,
                received_at=found.received_at,
                caller=found.caller or None,
                request_id=found.request_id or None,
            )
