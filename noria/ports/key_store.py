"""The port of API keys: kept together with what else is to be kept, or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from noria.core.base.api_key import ApiKey


@dataclass(frozen=True)
class RevokedKey:
    """A key that is refused for good.

    Attributes:
        key: as it is now.
        already: it had been revoked before; nothing was changed.
    """

    key: ApiKey
    already: bool


class KeyChanges(Protocol):
    """Changes of keys within one transaction."""

    def add(self, key: ApiKey, digest: str) -> None:
        """Keep a new key and the SHA-256 of its secret.

        Raises:
            AccessError: another key has the name, and was not revoked.
        """
        ...

    def rotate(
        self, key_id: str, digest: str, *, at: datetime, old_until: datetime, expires_at: datetime | None = None
    ) -> ApiKey:
        """Give a key another secret; older ones are let in until `old_until`, or until their own end if sooner.

        Args:
            key_id: of the key.
            digest: SHA-256 of the new secret.
            at: now.
            old_until: the first instant at which older secrets are refused.
            expires_at: when the key is to expire from now on; None leaves that as it is.

        Raises:
            AccessError: there is no such key, it was revoked, or it has expired and would stay so.
        """
        ...

    def revoke(self, key_id: str, *, at: datetime) -> RevokedKey:
        """Revoke a key, for good; one that was revoked before stays as it is.

        Raises:
            AccessError: there is no such key.
        """
        ...

    def all_keys(self) -> tuple[ApiKey, ...]:
        """Every key that was ever made, oldest first."""
        ...


class KeyStore(Protocol):
    """Keeps API keys."""

    def transaction(self) -> AbstractContextManager[KeyChanges]:
        """Changes that are kept when the block ends, all of them, or none after an exception."""
        ...
