"""Keys as PostgreSQL has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from noria.io.reopened_connection import ReopenedConnection

_QUERY = """
select s.digest, k.id, k.name, k.use_cases, k.scopes, k.per_minute, least(k.expires_at, s.valid_until)
from ops.api_keys as k
join ops.api_key_secrets as s on s.key_id = k.id
where k.revoked_at is null
order by s.digest
"""
_LOCK = "select 1 from ops.api_keys where id = any(%s) order by id for update"
_USED = "update ops.api_keys set last_used_at = greatest(last_used_at, %s) where id = any(%s)"


class KnownSecret(msgspec.Struct, frozen=True):
    """A valid secret, as its SHA-256, with its rights."""

    digest: str
    id: str
    name: str
    use_cases: tuple[str, ...] | None
    """None for all."""
    scopes: tuple[str, ...]
    per_minute: int | None
    until: datetime | None
    """The first instant at which it is refused."""


class KnownKeys(msgspec.Struct, frozen=True):
    """Everything that serving needs to know about keys."""

    ever_made: bool
    """Whether there ever was a key, even if all are revoked now."""
    secrets: tuple[KnownSecret, ...]


NO_KEYS = KnownKeys(ever_made=False, secrets=())
NOT_KNOWN = KnownKeys(ever_made=True, secrets=())
"""Keys exist and are not known: all are refused."""


class KeyTable:
    """The tables of keys, over one connection that is opened when needed; do not share it between threads or processes."""

    def __init__(self, url: str) -> None:
        self._connection = ReopenedConnection(
            url,
            "noria-serving-keys",
            # a revocation must not wait long
            statement_timeout=5_000,
            lock_timeout=2_000,
            tcp_user_timeout=5_000,
            keepalives_idle=5,
        )

    def read(self) -> KnownKeys:
        """Every key that was not revoked.

        Raises:
            psycopg.Error: it cannot be read now.
        """
        with self._transaction() as connection:
            rows = connection.execute(_QUERY).fetchall()
            ever_made = bool(rows) or connection.execute("select 1 from ops.api_keys limit 1").fetchone() is not None
        return KnownKeys(ever_made=ever_made, secrets=tuple(_known(row) for row in rows))

    def used(self, key_ids: Collection[str], at: datetime) -> None:
        """Store the time at which keys were used.

        Raises:
            psycopg.Error: it was not stored.
        """
        ids = list(key_ids)
        with self._transaction() as connection:
            connection.execute(_LOCK, (ids,))  # in order: two processes never wait for each other
            connection.execute(_USED, (at, ids))

    def close(self) -> None:
        """Close the connection; the next query opens another."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            connection = self._connection.get()
            with connection.transaction():
                yield connection
        except psycopg.Error:
            self.close()
            raise


def _known(row: tuple[Any, ...]) -> KnownSecret:
    digest, key_id, name, use_cases, scopes, per_minute, until = row
    return KnownSecret(
        digest=digest,
        id=key_id,
        name=name,
        use_cases=None if use_cases is None else tuple(use_cases),
        scopes=tuple(scopes),
        per_minute=per_minute,
        until=None if until is None else until.astimezone(UTC),
    )
