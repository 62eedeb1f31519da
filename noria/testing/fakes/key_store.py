"""API keys in memory that keep the contract of the port; the contract suite runs over them and over PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from noria.core.base.api_key import ApiKey, KeyState
from noria.core.base.errors import AccessError
from noria.ports.key_store import RevokedKey
from noria.testing.fakes.interruption import DatabaseRefusalError, Killed

_ID = re.compile("[A-Za-z0-9]{12}")
_DIGEST = re.compile("[0-9a-f]{64}")
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Keys:
    """Keys by id, and until when each secret is let in, by key and digest."""

    by_id: dict[str, ApiKey] = field(default_factory=dict)
    secrets: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def copy(self) -> _Keys:
        return _Keys(dict(self.by_id), dict(self.secrets))


class InMemoryKeyStore:
    """`noria.ports.key_store.KeyStore` without a database, for one thread.

    Attributes:
        killed_before_commit: the next transaction ends with `Killed` and keeps nothing, once.
    """

    def __init__(self) -> None:
        self._kept = _Keys()
        self.killed_before_commit = False

    @contextmanager
    def transaction(self) -> Iterator[InMemoryKeyChanges]:
        """Changes that are kept when the block ends."""
        draft = self._kept.copy()
        yield InMemoryKeyChanges(draft)
        if self.killed_before_commit:
            self.killed_before_commit = False
            raise Killed
        self._kept = draft

    def secrets_of(self, key_id: str) -> dict[str, datetime]:
        """Until when each secret of a key is let in, by its SHA-256; `FOREVER` for the newest."""
        return {digest: until for (owner, digest), until in self._kept.secrets.items() if owner == key_id}


class InMemoryKeyChanges:
    """`noria.ports.key_store.KeyChanges` on a draft."""

    def __init__(self, keys: _Keys) -> None:
        self._keys = keys

    def add(self, key: ApiKey, digest: str) -> None:
        """Keep a new key and the SHA-256 of its secret."""
        if any(other.name == key.name and other.revoked_at is None for other in self._keys.by_id.values()):
            raise AccessError(f"there is a key of the name {key.name} already")
        if (
            key.id in self._keys.by_id
            or not _ID.fullmatch(key.id)
            or not key.scopes
            or not (key.per_minute is None or key.per_minute > 0)
        ):
            raise DatabaseRefusalError(f"an id that is there or is none, no scope, or no request per minute: {key}")
        self._keys.by_id[key.id] = key
        self._add_secret(key.id, digest)

    def rotate(
        self, key_id: str, digest: str, *, at: datetime, old_until: datetime, expires_at: datetime | None = None
    ) -> ApiKey:
        """Give a key another secret."""
        key = self._find(key_id)
        if key.revoked_at is not None:
            raise AccessError(f"key {key.name} ({key_id}) was revoked and stays so")
        if expires_at is None and key.state(at) is KeyState.EXPIRED:
            raise AccessError(f"key {key.name} ({key_id}) has expired")
        for (owner, older), until in list(self._keys.secrets.items()):
            if owner == key_id:
                self._keys.secrets[owner, older] = min(until, old_until)
        self._add_secret(key_id, digest)
        return self._replace(replace(key, rotated_at=at, expires_at=expires_at or key.expires_at))

    def revoke(self, key_id: str, *, at: datetime) -> RevokedKey:
        """Revoke a key, for good."""
        key = self._find(key_id)
        if key.revoked_at is not None:
            return RevokedKey(key, already=True)
        return RevokedKey(self._replace(replace(key, revoked_at=at)), already=False)

    def all_keys(self) -> tuple[ApiKey, ...]:
        """Every key that was ever made, oldest first."""
        return tuple(sorted(self._keys.by_id.values(), key=lambda key: (key.created_at, key.id)))

    def _add_secret(self, key_id: str, digest: str) -> None:
        if not _DIGEST.fullmatch(digest) or any(other == digest for _, other in self._keys.secrets):
            raise DatabaseRefusalError(f"a digest that is there or is none: {digest}")
        self._keys.secrets[key_id, digest] = FOREVER

    def _find(self, key_id: str) -> ApiKey:
        if key_id not in self._keys.by_id:
            raise AccessError(f"there is no key {key_id}")
        return self._keys.by_id[key_id]

    def _replace(self, key: ApiKey) -> ApiKey:
        self._keys.by_id[key.id] = key
        return key
