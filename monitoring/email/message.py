"""The report as an e-mail: text and HTML, the picture inside, the full report attached."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from monitoring.email.content import ReportEmail
from noria.core.base.formatting import one_line
from noria.io.templates import environment

_TEMPLATES = Path(__file__).parent / "templates"
_CHART = "money@noria"
LARGEST_PLAIN = 8_000_000
"""A report up to this size is attached as it is, since phones open .html and not .zip."""
LARGEST = 16_000_000
"""Mailboxes refuse messages beyond 25 MB, and base64 adds a third: a larger report stays where it lies."""


@dataclass(frozen=True)
class Attachment:
    """The full report as it travels."""

    name: str
    content: bytes
    subtype: str
    """`html` or `zip`."""


def attach(report: Path, name: str) -> tuple[Attachment | None, str]:
    """The report as an attachment (None where it is too large), and words that say where it is.

    Args:
        report: the HTML file.
        name: what the attachment is called, without extension.
    """
    content = report.read_bytes()
    if len(content) <= LARGEST_PLAIN:
        return Attachment(f"{name}.html", content, "html"), f"attached as {name}.html; open it in a browser."
    zipped = _zip(content, f"{name}.html")
    if len(zipped) <= LARGEST:
        return Attachment(f"{name}.zip", zipped, "zip"), f"attached as {name}.zip; unpack it and open it in a browser."
    return None, f"too large for a mail; it lies at {report}"


def compose(
    mail: ReportEmail, recipients: Sequence[str], *, chart: bytes, chart_words: str, attachment: Attachment | None
) -> EmailMessage:
    """Build the message; sender, date and id are the mailer's.

    Args:
        mail: what it says.
        recipients: who gets it.
        chart: PNG shown inside the HTML.
        chart_words: the same in words.
        attachment: the full report, if any.
    """
    message = EmailMessage()
    message["Subject"] = one_line(mail.subject)
    message["To"] = ", ".join(recipients)
    message.set_content(render("report.txt", mail=mail))
    page = render("report.html", mail=mail, chart=_CHART, chart_words=chart_words)
    message.add_alternative(page, subtype="html", cte="quoted-printable")
    body = message.get_body(("html",))
    if body is None:
        raise AssertionError("the HTML alternative was added two lines above")
    body.add_related(chart, "image", "png", cid=f"<{_CHART}>", disposition="inline", filename="money.png")
    if attachment:
        is_page = attachment.subtype == "html"
        message.add_attachment(
            attachment.content,
            "text" if is_page else "application",
            attachment.subtype,
            filename=attachment.name,
            params={"charset": "utf-8"} if is_page else None,
        )
    return message


def render(template: str, **values: object) -> str:
    """A template of the e-mail, filled in; HTML is escaped, text is not."""
    return environment(_TEMPLATES).get_template(template).render(**values)


def _zip(content: bytes, name: str) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return output.getvalue()
