"""Mails that tasks write themselves: a failed run, a version that waits for an answer."""

from __future__ import annotations

from email.message import EmailMessage

from noria.bootstrap import Services
from noria.core.base.results import NotifyResult
from noria.core.use_case import UseCase


def send(services: Services, use_case: UseCase, message: EmailMessage, *, key: str) -> NotifyResult:
    """Send a message, once for each key.

    Args:
        services: their mailer sets sender, date and Message-ID.
        use_case: whom it is about, for the record.
        message: has Subject and To.
        key: identifies the message.

    Raises:
        NotifyError: it could not be delivered; the next call with the key tries again.

    Example:
        >>> message = EmailMessage()
        >>> message["Subject"], message["To"] = "[failed] parcels__train", use_case.owner
        >>> [send(services, use_case, message, key="failed/1").delivered_now for _ in range(2)]
        [True, False]
    """
    return services.mailer.deliver(message, key=key, use_case=use_case.name)
