"""The tables of API keys: `ops.api_keys`, and `ops.api_key_secrets` with the SHA-256 of each key's secrets.

Every function works in its caller's transaction, so that a key is kept together with what else is to be kept, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

from noria.core.base.api_key import ApiKey, KeyState, Scope
from noria.core.base.errors import AccessError
from noria.data.postgres.warehouse import Warehouse
from noria.ports.key_store import RevokedKey

_COLUMNS = (
    "id, name, use_cases, scopes, per_minute, created_at, created_by, expires_at, revoked_at, rotated_at, last_used_at"
)


class PostgresKeyStore:
    """`noria.ports.key_store.KeyStore` in PostgreSQL."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @contextmanager
    def transaction(self) -> Iterator[KeyTransaction]:
        """Changes in one transaction of the database."""
        with self._warehouse.transaction() as connection:
            yield KeyTransaction(connection)


class KeyTransaction:
    """`noria.ports.key_store.KeyChanges` in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: ApiKey, digest: str) -> None:
        """Keep a new key and the SHA-256 of its secret."""
        add(self._connection, key, digest)

    def rotate(
        self, key_id: str, digest: str, *, at: datetime, old_until: datetime, expires_at: datetime | None = None
    ) -> ApiKey:
        """Give a key another secret."""
        return rotate(self._connection, key_id, digest, at=at, old_until=old_until, expires_at=expires_at)

    def revoke(self, key_id: str, *, at: datetime) -> RevokedKey:
        """Revoke a key, for good."""
        return revoke(self._connection, key_id, at=at)

    def all_keys(self) -> tuple[ApiKey, ...]:
        """Every key that was ever made, oldest first."""
        return all_keys(self._connection)


def add(connection: Connection, key: ApiKey, digest: str) -> None:
    """Keep a new key and the SHA-256 of its secret.

    Raises:
        AccessError: another key has the name, and was not revoked.
    """
    values = ", ".join(f":{name}" for name in _COLUMNS.split(", "))
    fields = {
        **{name: getattr(key, name) for name in _COLUMNS.split(", ")},
        "use_cases": None if key.use_cases is None else list(key.use_cases),
        "scopes": [scope.value for scope in key.scopes],
    }
    try:
        with connection.begin_nested():
            connection.execute(text(f"insert into ops.api_keys ({_COLUMNS}) values ({values})"), fields)
    except IntegrityError as error:
        if "api_keys_by_name" not in str(error.orig):
            raise
        raise AccessError(
            f"there is a key of the name {key.name} already: `noria keys list` shows it; rotate it, revoke it, or take "
            "another name"
        ) from error
    _add_secret(connection, key.id, digest, key.created_at)


def rotate(
    connection: Connection,
    key_id: str,
    digest: str,
    *,
    at: datetime,
    old_until: datetime,
    expires_at: datetime | None = None,
) -> ApiKey:
    """Give a key another secret; those before it are let in until `old_until`, or until the instant set before if sooner.

    Args:
        connection: in a transaction.
        key_id: of the key.
        digest: SHA-256 of the new secret.
        at: now.
        old_until: the first instant at which older secrets are refused.
        expires_at: when the key is to expire from now on; None leaves that as it is.

    Raises:
        AccessError: there is no such key, it was revoked, or it has expired and would stay so.
    """
    key = find(connection, key_id, for_update=True)
    if key.revoked_at is not None:
        raise AccessError(f"key {key.name} ({key_id}) was revoked and stays so: make another with `noria keys create`")
    if expires_at is None and key.state(at) is KeyState.EXPIRED:
        raise AccessError(f"key {key.name} ({key_id}) has expired: say until when the new secret is good with --expires")
    connection.execute(
        text("update ops.api_key_secrets set valid_until = least(valid_until, :until) where key_id = :id"),
        {"id": key_id, "until": old_until},
    )
    _add_secret(connection, key_id, digest, at)
    connection.execute(
        text("update ops.api_keys set rotated_at = :at, expires_at = coalesce(:expires_at, expires_at) where id = :id"),
        {"id": key_id, "at": at, "expires_at": expires_at},
    )
    return find(connection, key_id)


def revoke(connection: Connection, key_id: str, *, at: datetime) -> RevokedKey:
    """Revoke a key, for good; one that was revoked before stays as it is.

    Raises:
        AccessError: there is no such key.
    """
    key = find(connection, key_id, for_update=True)
    if key.revoked_at is not None:
        return RevokedKey(key, already=True)
    connection.execute(text("update ops.api_keys set revoked_at = :at where id = :id"), {"id": key_id, "at": at})
    return RevokedKey(find(connection, key_id), already=False)


def find(connection: Connection, key_id: str, *, for_update: bool = False) -> ApiKey:
    """The key of that id.

    Args:
        connection: in a transaction.
        key_id: of the key.
        for_update: lock it until the transaction ends.

    Raises:
        AccessError: there is none.
    """
    query = f"select {_COLUMNS} from ops.api_keys where id = :id{' for update' if for_update else ''}"
    row = connection.execute(text(query), {"id": key_id}).mappings().first()
    if row is None:
        raise AccessError(f"there is no key {key_id}; `noria keys list` shows all")
    return _key(row)


def all_keys(connection: Connection) -> tuple[ApiKey, ...]:
    """Every key that was ever made, oldest first."""
    rows = connection.execute(text(f"select {_COLUMNS} from ops.api_keys order by created_at, id")).mappings()
    return tuple(_key(row) for row in rows)


def _add_secret(connection: Connection, key_id: str, digest: str, at: datetime) -> None:
    connection.execute(
        text("insert into ops.api_key_secrets (digest, key_id, made_at) values (:digest, :id, :at)"),
        {"digest": digest, "id": key_id, "at": at},
    )


def _key(row: RowMapping) -> ApiKey:
    fields: dict[str, Any] = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in row.items()
    }
    fields["use_cases"] = None if row["use_cases"] is None else tuple(row["use_cases"])
    # a scope that a newer Noria knows and this one does not is no right here
    fields["scopes"] = tuple(scope for scope in Scope if scope in row["scopes"])
    return ApiKey(**fields)
