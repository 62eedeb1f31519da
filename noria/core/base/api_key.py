"""API keys and their scopes: who may ask serving for what.

A key is the text ``noria_<id>_<secret>``. The id says which key it is, and may be shown; the secret is 256 bits of chance,
and only its SHA-256 is ever kept. Standard library alone, so that the command line starts at once.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from noria.core.base.errors import AccessError

ID_LENGTH = 12
_KEY = re.compile(rf"noria_([A-Za-z0-9]{{{ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_ID = re.compile(rf"[A-Za-z0-9]{{{ID_LENGTH}}}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class Scope(StrEnum):
    """A permission of a key."""

    PREDICT = "predict"
    """Ask for predictions."""
    FEEDBACK = "feedback"
    """Report what really happened."""
    ADMIN = "admin"
    """Change how serving answers."""


class AccessMode(StrEnum):
    """Whether serving asks for keys."""

    AUTO = "auto"
    """Keys, except on a loopback address while no key was ever made."""
    KEYS = "keys"
    """Keys, always."""
    OPEN = "open"
    """No key is needed; on a loopback address alone."""


class KeyState(StrEnum):
    """Whether a key is let in."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class PresentedKey(NamedTuple):
    """A key's text, taken apart."""

    id: str
    secret: str


@dataclass(frozen=True)
class ApiKey:
    """All that is known of a key: everything but its secret.

    Attributes:
        id: 12 letters and digits; appears in logs.
        name: of the app that has it; one key of a name at a time.
        use_cases: it may be used for; None for all there are and will be.
        scopes: what it may do.
        per_minute: requests; None for no limit.
        created_at: when it was made.
        created_by: who made it.
        expires_at: the first instant at which it is refused; None for never.
        revoked_at: when it was revoked; None if it was not.
        rotated_at: when it got its newest secret; None where it has its first.
        last_used_at: when serving let it in, to the minute; None where that is not known.
    """

    id: str
    name: str
    use_cases: tuple[str, ...] | None
    scopes: tuple[Scope, ...]
    per_minute: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        """Whether it is let in at an instant."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and now >= self.expires_at else KeyState.ACTIVE

    @property
    def may(self) -> str:
        """Its permissions, in words."""
        return in_words(self.scopes, self.use_cases)


def in_words(scopes: Sequence[str], use_cases: Sequence[str] | None) -> str:
    """Rights in words, such as ``predict, feedback on flight_delays``."""
    return f"{', '.join(scopes)} on {'every use case' if use_cases is None else ', '.join(use_cases)}"


def read_key(text: str) -> PresentedKey | None:
    """A key's text, taken apart; None where it cannot be one."""
    match = _KEY.fullmatch(text)
    return None if match is None else PresentedKey(match[1], match[2])


def digest(secret: str) -> str:
    """The stored form of a secret: SHA-256, in hexadecimal. 256 bits of chance cannot be guessed, so it need not be slow."""
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()


def check_name(name: str) -> str:
    """The name, if a key may have it.

    Raises:
        AccessError: it may not.
    """
    if _NAME.fullmatch(name) is None:
        raise AccessError(
            f"{name[:80]!r} cannot be the name of a key: give up to 64 letters, digits, dots, dashes, underscores"
        )
    return name


def check_id(key_id: str) -> str:
    """The id, if it has the form of one; a whole key is not repeated in the message.

    Raises:
        AccessError: it has not.
    """
    if _ID.fullmatch(key_id) is not None:
        return key_id
    if (presented := read_key(key_id)) is not None:
        raise AccessError(f"that is a whole key, secret and all; its id is {presented.id}")
    raise AccessError(f"an id has {ID_LENGTH} letters and digits; `noria keys list` shows them all")


def is_loopback(host: str) -> bool:
    """Whether this machine alone reaches an address; a name other than localhost is not resolved, and counts as reached."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
