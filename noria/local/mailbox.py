"""A folder of received messages, one .eml file each."""

from __future__ import annotations

import email
import email.policy
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

_NAME = re.compile(r"^\d{8}T\d{12}-[0-9a-f]{12}$")


@dataclass(frozen=True)
class MailPart:
    """One leaf of a message."""

    index: int
    content_type: str
    file_name: str
    content_id: str
    content: bytes

    @property
    def size(self) -> str:
        """Size for people."""
        return f"{len(self.content) / 1e6:.1f} MB" if len(self.content) > 1e6 else f"{len(self.content) / 1e3:.0f} kB"


@dataclass(frozen=True)
class StoredMessage:
    """A message as it was received."""

    name: str
    received_at: datetime
    message: EmailMessage

    def header(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return str(self.message.get(name, ""))

    @cached_property
    def parts(self) -> tuple[MailPart, ...]:
        """All leaves, in order."""
        leaves = [part for part in self.message.walk() if not part.is_multipart()]
        return tuple(_part(index, leaf) for index, leaf in enumerate(leaves))

    @property
    def html(self) -> str | None:
        """The HTML body, with inline images as paths beside it; None where there is none."""
        body = self.message.get_body(("html",))
        if body is None:
            return None
        html = str(body.get_content())
        for part in self.parts:
            if part.content_id:
                html = html.replace(f"cid:{part.content_id}", f"parts/{part.index}")
        return html

    @property
    def text(self) -> str | None:
        """The text body; None where there is none."""
        body = self.message.get_body(("plain",))
        return None if body is None else str(body.get_content())

    @property
    def attachments(self) -> tuple[MailPart, ...]:
        """Attachments to save rather than to read here."""
        return tuple(part for part in self.parts if part.file_name and not part.content_id)

    def summary(self) -> dict[str, Any]:
        """Entry of the list, as JSON."""
        return {
            "id": self.name,
            "received_at": self.received_at.isoformat(),
            "from": self.header("From"),
            "to": self.header("To"),
            "subject": self.header("Subject"),
            "date": self.header("Date"),
            "message_id": self.header("Message-ID"),
            "attachments": [
                {"name": part.file_name, "type": part.content_type, "bytes": len(part.content), "part": part.index}
                for part in self.attachments
            ],
        }


class Mailbox:
    """Keeps messages in a folder; a message is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, content: bytes, received_at: datetime) -> str:
        """Store a message durably and return its name."""
        digest = hashlib.sha256(content + os.urandom(8)).hexdigest()[:12]
        name = f"{received_at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{digest}"
        draft = self._folder / f".{name}.draft"
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._folder / f"{name}.eml")
        return name

    def __iter__(self) -> Iterator[StoredMessage]:
        """Messages, newest first."""
        for path in sorted(self._folder.glob("*.eml"), reverse=True):
            if _NAME.match(path.stem):
                yield _read(path)

    def get(self, name: str) -> StoredMessage | None:
        """The message of that name; None where there is none."""
        path = self._folder / f"{name}.eml"
        return _read(path) if _NAME.match(name) and path.exists() else None


@lru_cache(maxsize=64)
def _read(path: Path) -> StoredMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    received_at = datetime.strptime(path.stem.split("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    return StoredMessage(path.stem, received_at, message)


def _part(index: int, leaf: EmailMessage) -> MailPart:
    content = leaf.get_payload(decode=True)
    return MailPart(
        index=index,
        content_type=leaf.get_content_type(),
        file_name=leaf.get_filename() or "",
        content_id=str(leaf.get("Content-ID", "")).strip("<> "),
        content=content if isinstance(content, bytes) else b"",
    )
