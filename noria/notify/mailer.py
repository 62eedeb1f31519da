"""E-mail over SMTP with a delivery record: the same report goes out once, however often its task runs.

The record is written after the server has accepted the message. A process that is killed between the two sends it again:
delivery is at least once. Both copies carry the same Message-ID, by which mailboxes recognise a duplicate.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from email.message import EmailMessage
from typing import Protocol

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from noria.core.base.clock import Clock
from noria.core.base.errors import NotifyError
from noria.core.base.results import NotifyResult
from noria.io.advisory_locks import lock_transaction
from noria.notify.envelope import recipients_of, seal_message

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30.0
_PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further attempt."""


class MailSettings(Protocol):
    """Address of the SMTP server, login and sender; `noria.settings.Settings` is one."""

    @property
    def smtp_host(self) -> str:
        """Host name."""
        ...

    @property
    def smtp_port(self) -> int:
        """Port."""
        ...

    @property
    def smtp_user(self) -> str:
        """Login; empty for none."""
        ...

    @property
    def smtp_password(self) -> SecretStr:
        """Password."""
        ...

    @property
    def smtp_starttls(self) -> bool:
        """Whether to encrypt with STARTTLS before logging in."""
        ...

    @property
    def mail_from(self) -> str:
        """Sender of reports."""
        ...


class SmtpMailer:
    """`noria.ports.mailer.Mailer` over SMTP, with a record of deliveries in PostgreSQL.

    Args:
        settings: where the SMTP server is, and who sends.
        engine: PostgreSQL with the table `ops.deliveries`.
        clock: dates messages.
        sleep: waits between attempts; tests pass their own.
    """

    def __init__(
        self, settings: MailSettings, engine: Engine, clock: Clock, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._sleep = sleep

    def deliver(self, message: EmailMessage, *, key: str, use_case: str) -> NotifyResult:
        """Deliver a message unless one with this key was delivered before.

        Args:
            message: has Subject and To; sender, date and Message-ID are set here.
            key: identifies the report; the Message-ID is made from it.
            use_case: whose report it is, for the record.

        Raises:
            NotifyError: it could not be delivered; names server and cause.
        """
        with self._engine.begin() as connection:
            # Two at once: the second waits here, and then finds the first one's record.
            lock_transaction(connection, f"mail/{key}")
            if delivered := _find(connection, key):
                return delivered
            seal_message(message, key=key, sender=self._settings.mail_from, at=self._clock.now())
            recipients = self._send(message)
            result = NotifyResult(message_id=str(message["Message-ID"]), recipients=recipients, delivered_now=True)
            self._record(connection, key, use_case, str(message["Subject"]), result)
        return result

    def _send(self, message: EmailMessage) -> tuple[str, ...]:
        """Recipients that the server accepted, after as many attempts as it takes."""
        for pause in (*_PAUSES, None):
            try:
                return self._attempt(message)
            except (OSError, smtplib.SMTPException) as error:
                if pause is None or not _is_temporary(error):
                    raise self._explain(error) from error
                _LOG.warning("%s: %s; trying again in %g s", self._server, _describe(error), pause)
                self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, message: EmailMessage) -> tuple[str, ...]:
        settings = self._settings
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_SECONDS) as server:
            if settings.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            refused = server.send_message(message)
        # Accepted for the others: sending again would reach those twice, so the refusal is logged and not retried.
        for address, (code, reason) in refused.items():
            _LOG.warning("%s refused the recipient %s: %s %s", self._server, address, code, _text(reason))
        return tuple(address for address in recipients_of(message) if address not in refused)

    def _record(self, connection: Connection, key: str, use_case: str, subject: str, result: NotifyResult) -> None:
        connection.execute(
            text(
                "insert into ops.deliveries (key, use_case, message_id, subject, recipients, delivered_at) "
                "values (:key, :use_case, :message_id, :subject, :recipients, :delivered_at)"
            ),
            {
                "key": key,
                "use_case": use_case,
                "message_id": result.message_id,
                "subject": subject,
                "recipients": list(result.recipients),
                "delivered_at": self._clock.now(),
            },
        )

    @property
    def _server(self) -> str:
        return f"SMTP server {self._settings.smtp_host}:{self._settings.smtp_port}"

    def _explain(self, error: Exception) -> NotifyError:
        return NotifyError(f"{self._server}: {_describe(error)}; {_advice(error)}")


def _find(connection: Connection, key: str) -> NotifyResult | None:
    row = connection.execute(
        text("select message_id, recipients from ops.deliveries where key = :key"), {"key": key}
    ).one_or_none()
    if row is None:
        return None
    return NotifyResult(message_id=row.message_id, recipients=tuple(row.recipients), delivered_now=False)


def _is_temporary(error: Exception) -> bool:
    """Whether it may work in a moment: no answer, a broken line, or a 4xx."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code < 500 for code in _codes(error.recipients))
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500 or error.smtp_code < 0
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return True
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLCertVerificationError | smtplib.SMTPException)


def _codes(refused: Mapping[str, tuple[int, bytes]]) -> Iterable[int]:
    return (code for code, _ in refused.values())


def _describe(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return ", ".join(f"{address} refused ({code} {_text(why)})" for address, (code, why) in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _advice(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check NORIA_SMTP_USER and NORIA_SMTP_PASSWORD"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "check monitoring.email in use_case.yaml, and that this server may relay for NORIA_MAIL_FROM"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return "check NORIA_MAIL_FROM"
    if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLError):
        return "check NORIA_SMTP_STARTTLS, the server's certificate, and what it offers"
    if isinstance(error, smtplib.SMTPResponseException):
        return "ask who runs the server; the code is its own"
    return "check NORIA_SMTP_HOST and NORIA_SMTP_PORT, and that the server runs and can be reached from here"


def _text(reason: bytes | str) -> str:
    return reason.decode(errors="replace") if isinstance(reason, bytes) else reason
