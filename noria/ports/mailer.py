"""The port of e-mail: a report goes out once, however often its task runs."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Protocol

from noria.core.base.results import NotifyResult


class Mailer(Protocol):
    """Delivers messages once per key."""

    def deliver(self, message: EmailMessage, *, key: str, use_case: str) -> NotifyResult:
        """Deliver a message unless one with this key was delivered before.

        Args:
            message: has Subject and To; sender, date and Message-ID are set here.
            key: identifies the report; the Message-ID is made from it.
            use_case: whose report it is, for the record.

        Raises:
            NotifyError: it could not be delivered; the next call with the key tries again.
        """
        ...
