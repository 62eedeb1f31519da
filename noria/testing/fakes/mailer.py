"""A mailer in memory that keeps the contract of the port; the contract suite runs over it and over SMTP."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage

from noria.core.base.clock import Clock
from noria.core.base.errors import NotifyError
from noria.core.base.results import NotifyResult
from noria.notify.envelope import recipients_of, seal_message


@dataclass(frozen=True)
class SentMail:
    """A message that was delivered."""

    message: EmailMessage
    key: str
    use_case: str

    @property
    def subject(self) -> str:
        """Its subject."""
        return str(self.message["Subject"])


class RecordingMailer:
    """`noria.ports.mailer.Mailer` without a server.

    Attributes:
        sent: every delivery, oldest first.
        reachable: whether there is a server; a test sets it to False to make deliveries fail.
    """

    def __init__(self, clock: Clock, sender: str = "noria@example.com") -> None:
        self._clock = clock
        self._sender = sender
        self._delivered: dict[str, NotifyResult] = {}
        self.sent: list[SentMail] = []
        self.reachable = True

    @property
    def subjects(self) -> list[str]:
        """Subjects of what was sent, oldest first."""
        return [mail.subject for mail in self.sent]

    def deliver(self, message: EmailMessage, *, key: str, use_case: str) -> NotifyResult:
        """Keep a message unless one with this key is there."""
        if delivered := self._delivered.get(key):
            return delivered.model_copy(update={"delivered_now": False})
        if not self.reachable:
            raise NotifyError("no SMTP server: this mailer was made to fail")
        seal_message(message, key=key, sender=self._sender, at=self._clock.now())
        result = NotifyResult(message_id=str(message["Message-ID"]), recipients=recipients_of(message), delivered_now=True)
        self._delivered[key] = result
        self.sent.append(SentMail(message, key, use_case))
        return result
