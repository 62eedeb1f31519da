"""Keys of serving: made, rotated, revoked and listed. Each change is an audit event.

Of two things that must both happen, the harmless one comes first: the event before a key begins to be let in, and the
revocation before its event. A process that is killed in between leaves an event too many, or a key that is refused and whose
event the next `revoke` adds.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from noria.bootstrap import Services
from noria.core.base.api_key import ID_LENGTH, ApiKey, Scope, check_id, check_name, digest
from noria.core.base.errors import AccessError
from noria.core.lifecycle.audit_event import Action, AuditEntry
from noria.ports.key_store import RevokedKey

AUDITED_AS = "access keys"
"""What stands in the audit trail where others have their use case; no use case can have a space in its name."""
_SECRET_BYTES = 32
_ALPHABET = string.ascii_letters + string.digits
"""Of ids: neither a dash, which the command line would take for an option, nor the underscore that separates."""


@dataclass(frozen=True)
class NewSecret:
    """A secret that was just made. It is the key, so printing the object does not show it."""

    digest: str
    """What is kept: SHA-256, in hexadecimal."""
    text: str = field(repr=False)
    """The whole key as its owner needs it; shown once."""

    @classmethod
    def draw(cls, key_id: str) -> NewSecret:
        """A secret for the key of that id, from the system's source of chance."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        return cls(digest(secret), f"noria_{key_id}_{secret}")


@dataclass(frozen=True)
class IssuedKey:
    """A key with its secret, which is shown once."""

    key: ApiKey
    secret: NewSecret


def create_key(
    services: Services,
    *,
    name: str,
    use_cases: Sequence[str] | None,
    scopes: Sequence[Scope],
    actor: str,
    lifetime: timedelta | None = None,
    per_minute: int | None = None,
) -> IssuedKey:
    """Make a key.

    Args:
        services: keep it; the catalog knows the use cases.
        name: of the app that gets it.
        use_cases: it may be used for; None for all there are and will be.
        scopes: what it may do.
        actor: who makes it.
        lifetime: after which it is refused; None for never.
        per_minute: requests; None for no limit.

    Raises:
        AccessError: the name is taken or cannot be one, or the key could do nothing.
        UseCaseError: there is no such use case.

    Example:
        >>> quarter = timedelta(days=90)
        >>> issued = create_key(
        ...     services, name="shop", use_cases=["parcels"], scopes=[Scope.PREDICT], actor="ana", lifetime=quarter
        ... )
        >>> issued.key.may
        'predict on parcels'
        >>> issued.key.expires_at.isoformat()
        '2024-08-30T12:00:00+00:00'
    """
    now = services.clock.now()
    key = ApiKey(
        id="".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH)),
        name=check_name(name),
        use_cases=_known(services, use_cases),
        scopes=_in_order(scopes),
        per_minute=_positive(per_minute),
        created_at=now,
        created_by=actor,
        expires_at=_end_of(now, lifetime),
    )
    secret = NewSecret.draw(key.id)
    with services.keys.transaction() as keys:
        keys.add(key, secret.digest)
        _record(services, Action.KEY_CREATED, key, actor=actor, reason=f"may {key.may}")
    return IssuedKey(key, secret)


def rotate_key(
    services: Services, key_id: str, *, grace: timedelta, actor: str, reason: str = "", lifetime: timedelta | None = None
) -> IssuedKey:
    """Give a key another secret; those before it are let in for a while, so that no request fails while apps change over.

    Args:
        services: keep it.
        key_id: of the key.
        grace: how long older secrets are let in; zero refuses them at once.
        actor: who rotates it.
        reason: why.
        lifetime: after which the key is refused, from now on; None leaves that as it is.

    Raises:
        AccessError: there is no such key, it was revoked, or it has expired and would stay so.

    Example:
        >>> first = create_key(services, name="shop", use_cases=None, scopes=[Scope.PREDICT], actor="ana")
        >>> second = rotate_key(services, first.key.id, grace=timedelta(hours=1), actor="ben", reason="a leak")
        >>> second.key.id == first.key.id, second.secret.text == first.secret.text
        (True, False)
    """
    if grace < timedelta(0):
        raise AccessError("the grace of older secrets cannot be negative: give 0s to refuse them at once")
    now = services.clock.now()
    secret = NewSecret.draw(check_id(key_id))
    with services.keys.transaction() as keys:
        key = keys.rotate(key_id, secret.digest, at=now, old_until=now + grace, expires_at=_end_of(now, lifetime))
        note = f"older secrets until {(now + grace).isoformat(timespec='seconds')}"
        _record(services, Action.KEY_ROTATED, key, actor=actor, reason=f"{reason}; {note}" if reason else note)
    return IssuedKey(key, secret)


def revoke_key(services: Services, key_id: str, *, reason: str, actor: str) -> RevokedKey:
    """Refuse a key for good; serving does so within seconds. Harmless when repeated.

    Raises:
        AccessError: there is no such key.

    Example:
        >>> issued = create_key(services, name="shop", use_cases=None, scopes=[Scope.PREDICT], actor="ana")
        >>> [revoke_key(services, issued.key.id, reason="a leak", actor="ben").already for _ in range(2)]
        [False, True]
    """
    with services.audit.exclusively(AUDITED_AS):
        with services.keys.transaction() as keys:
            done = keys.revoke(check_id(key_id), at=services.clock.now())
        if not (done.already and _was_recorded(services, key_id)):
            _record(services, Action.KEY_REVOKED, done.key, actor=actor, reason=reason)
    return done


def list_keys(services: Services) -> tuple[ApiKey, ...]:
    """Every key that was ever made, oldest first; secrets are nowhere to be read.

    Example:
        >>> for app in ("shop", "warehouse"):
        ...     _ = create_key(services, name=app, use_cases=None, scopes=[Scope.PREDICT], actor="ana")
        ...     services.clock.advance(minutes=1)
        >>> [key.name for key in list_keys(services)]
        ['shop', 'warehouse']
    """
    with services.keys.transaction() as keys:
        return keys.all_keys()


def _known(services: Services, use_cases: Sequence[str] | None) -> tuple[str, ...] | None:
    if use_cases is None:
        return None
    if not use_cases:
        raise AccessError("a key for no use case would open nothing: name one, or say that it is for all")
    return tuple(sorted({services.catalog.get(name).name for name in use_cases}))


def _in_order(scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    if not scopes:
        raise AccessError(f"a key without a scope may do nothing: give {', '.join(Scope)}")
    return tuple(scope for scope in Scope if scope in scopes)


def _positive(per_minute: int | None) -> int | None:
    if per_minute is not None and per_minute < 1:
        raise AccessError(f"{per_minute} requests per minute let nobody in: give 1 or more, or leave the limit out")
    return per_minute


def _end_of(now: datetime, lifetime: timedelta | None) -> datetime | None:
    if lifetime is None:
        return None
    if lifetime <= timedelta(0):
        raise AccessError("a key that expires at once opens nothing: give a duration such as 90d")
    try:
        return now + lifetime
    except OverflowError as error:
        raise AccessError("that is later than any calendar goes: leave the expiry out instead") from error


def _record(services: Services, action: Action, key: ApiKey, *, actor: str, reason: str) -> None:
    evidence = {
        "name": key.name,
        "may": key.may,
        "per_minute": str(key.per_minute or "no limit"),
        "expires_at": key.expires_at.isoformat() if key.expires_at else "never",
    }
    services.audit.append(
        AuditEntry(
            use_case=AUDITED_AS,
            action=action,
            version=key.id,
            previous="",
            as_of=None,
            actor=actor,
            reason=reason,
            evidence=evidence,
        )
    )


def _was_recorded(services: Services, key_id: str) -> bool:
    """Whether the trail has the revocation: a process may have been killed between it and its event."""
    events = services.audit.events(AUDITED_AS)
    return any(event.action is Action.KEY_REVOKED and event.version == key_id for event in events)
