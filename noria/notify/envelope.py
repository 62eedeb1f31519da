"""The headers that every delivery of a report shares: sender, date, and the Message-ID that its key gives."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr

_HEADER_LINE = 300


def seal_message(message: EmailMessage, *, key: str, sender: str, at: datetime) -> None:
    """Set sender, date and Message-ID; the same key and sender give the same Message-ID."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "noria.invalid"
    values = {
        "From": sender,
        "Date": format_datetime(at),
        "Message-ID": f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>",
    }
    for name, value in values.items():
        del message[name]
        message[name] = value
    # Python folds a long line beside an encoded word into two blanks; headers this long need no folding.
    message.policy = message.policy.clone(max_line_length=_HEADER_LINE)


def recipients_of(message: EmailMessage) -> tuple[str, ...]:
    """Addresses in To, Cc and Bcc, in this order."""
    headers = [value for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
    return tuple(address for _, address in getaddresses([str(header) for header in headers]))
