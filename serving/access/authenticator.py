"""Authenticates every request to a use case, in memory, or refuses it with the way to get a valid key.

Until the first key is made, a loopback address needs none, so that a first try is easy. On any other address, and from the
first key on, each request needs a key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from noria.core.base.api_key import AccessMode, Scope, is_loopback, read_key
from noria.core.base.clock import Clock
from noria.core.base.errors import SettingsError
from noria.settings import Settings
from serving.access.admin_log import AdminLog
from serving.access.key_file import KeyFile
from serving.access.key_ring import KeyHolder, KeyRing, key_text
from serving.access.rate_limit import RateLimits
from serving.contract.errors import ForbiddenError, RequestError, TooManyRequestsError, UnauthenticatedError

_USE_CASE = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_log = logging.getLogger(__name__)


class AuthenticatedCaller(NamedTuple):
    """Caller of a request that may be answered.

    Attributes:
        caller: name of the key, for journal and logs; empty if no key is needed.
        headers: of the key's rate limit, sent with the response; empty if there is no limit.
    """

    caller: str
    headers: tuple[tuple[bytes, bytes], ...]


class AdminLine(msgspec.Struct, omit_defaults=True):
    """A request that needs scope `admin`, as the admin log keeps it."""

    at: str
    caller: str
    use_case: str
    action: str
    allowed: bool
    why: str = ""
    """Reason of a refusal."""


_ANONYMOUS = AuthenticatedCaller("", ())
_encode = msgspec.json.Encoder().encode


class Authenticator:
    """Accepts or refuses requests in microseconds; only those that need scope `admin` are logged to disk.

    Args:
        keys: known keys.
        mode: whether a key is needed.
        loopback: whether only this machine reaches the address.
        clock: decides which keys have expired.
        record: takes a line for every request that needs scope `admin`; its error refuses the request.

    Raises:
        SettingsError: the mode is `open` on an address that other machines reach.
    """

    def __init__(
        self, keys: KeyRing, *, mode: AccessMode, loopback: bool, clock: Clock, record: Callable[[bytes], None]
    ) -> None:
        if mode is AccessMode.OPEN and not loopback:
            raise SettingsError(
                "NORIA_SERVING_ACCESS is open and NORIA_SERVING_HOST is no loopback address: every machine that reaches it "
                "could ask. Set NORIA_SERVING_ACCESS=keys and make keys with `noria keys create`, or bind 127.0.0.1"
            )
        self.keys = keys
        self._always_open = mode is AccessMode.OPEN
        self._open_without_keys = mode is AccessMode.AUTO and loopback
        self._clock = clock
        self._now = keys.limits.now
        self._record = record

    @property
    def is_open(self) -> bool:
        """Whether requests need no key at the moment."""
        return self._always_open or (self._open_without_keys and not self.keys.snapshot.ever_made)

    def authenticate(
        self,
        authorization: str | None,
        use_case: str,
        scope: Scope,
        rows: int = 1,  # noqa: ARG002 - requests are limited, not rows; callers do not depend on that
        *,
        action: str = "",
    ) -> AuthenticatedCaller:
        """Accept a request, or raise.

        Args:
            authorization: the header `Authorization`, or `X-API-Key` without it; None if both are missing.
            use_case: that the request is for; empty for all, which needs a key for every use case.
            scope: that the request needs.
            rows: of the request.
            action: for the admin log, such as ``POST /v1/reload``.

        Raises:
            UnauthenticatedError: no key, or one that is not known, was revoked or has expired.
            ForbiddenError: the key is for other use cases, or has other scopes.
            TooManyRequestsError: the key has used up its rate limit.
            JournalError: a request that needs scope `admin` cannot be logged.
        """
        if scope is Scope.ADMIN:
            return self._authenticate_admin(authorization, use_case, action)
        return _ANONYMOUS if self.is_open else self._authenticate_key(authorization, use_case, scope)

    def _authenticate_key(self, authorization: str | None, use_case: str, scope: Scope) -> AuthenticatedCaller:
        holder = self.keys.snapshot.holder(authorization) if authorization else None
        if holder is None:
            raise UnauthenticatedError(_not_known(authorization, use_case, scope))
        if holder.until is not None and self._clock.now() >= holder.until:
            raise UnauthenticatedError(_expired(holder))
        if scope not in holder.scopes or (holder.use_cases is not None and use_case not in holder.use_cases):
            raise ForbiddenError(_not_for_this(holder, use_case, scope))
        holder.used = True
        if holder.bucket is None:
            return AuthenticatedCaller(holder.name, ())
        taken = holder.bucket.take(self._now())
        if taken.wait:
            raise TooManyRequestsError(_too_many(holder, taken.wait), taken.wait, taken.headers)
        return AuthenticatedCaller(holder.name, taken.headers)

    def _authenticate_admin(self, authorization: str | None, use_case: str, action: str) -> AuthenticatedCaller:
        """Refused admin requests are logged as well."""
        try:
            caller = _ANONYMOUS if self.is_open else self._authenticate_key(authorization, use_case, Scope.ADMIN)
        except RequestError as error:
            self._write(self._name_of(authorization), use_case, action, refused=str(error))
            raise
        self._write(caller.caller, use_case, action)
        return caller

    def _write(self, caller: str, use_case: str, action: str, refused: str = "") -> None:
        at = self._clock.now().isoformat(timespec="milliseconds")
        line = AdminLine(at, caller, use_case[:80], action[:200], allowed=not refused, why=refused)
        self._record(_encode(line) + b"\n")

    def _name_of(self, authorization: str | None) -> str:
        holder = self.keys.snapshot.holder(authorization) if authorization else None
        return "" if holder is None else holder.name


def make_authenticator(settings: Settings, clock: Clock, workers: int = 1) -> Authenticator:
    """The authenticator of the settings, with the keys that were known last; nothing runs yet.

    Args:
        settings: whether keys are needed, and where they are.
        clock: decides which keys have expired.
        workers: number of processes that answer side by side.

    Raises:
        SettingsError: the mode is `open` on an address that other machines reach.
    """
    keys = KeyRing(
        settings.warehouse_url.get_secret_value(),
        KeyFile(settings.serving_state / "keys.json"),
        limits=RateLimits(workers),
        clock=clock,
        seconds=settings.serving_poll_seconds,
    )
    authenticator = Authenticator(
        keys,
        mode=settings.serving_access,
        loopback=is_loopback(settings.serving_host),
        clock=clock,
        record=AdminLog(settings.serving_state / "admin.jsonl").append,
    )
    keys.restore()
    if authenticator.is_open:
        _log.info("requests need no key on %s%s", settings.serving_host, _until(settings.serving_access))
    return authenticator


def _until(mode: AccessMode) -> str:
    return "" if mode is AccessMode.OPEN else " until the first one is made"


def _not_known(authorization: str | None, use_case: str, scope: Scope) -> str:
    """Repeats nothing of the header: it may be a secret of another system."""
    name = use_case if _USE_CASE.fullmatch(use_case) else "<use case>"
    make = f"noria keys create --name <app> --use-case {name} --scope {scope}"
    if not authorization:
        return f"send the header `Authorization: Bearer noria_...`; `{make}` makes such a key"
    if read_key(key_text(authorization)) is None:
        return f"what was sent does not have the form of a key: send `Authorization: Bearer noria_...`; `{make}` makes one"
    return f"the key is not known, or was revoked; `noria keys list` shows those there are, `{make}` makes another"


def _expired(holder: KeyHolder) -> str:
    return (
        f"key {holder.name} ({holder.id}) was good until {holder.until:%Y-%m-%d %H:%M} UTC, or has a newer secret; send "
        f"that one, or `noria keys rotate {holder.id} --expires 90d` makes another"
    )


def _not_for_this(holder: KeyHolder, use_case: str, scope: Scope) -> str:
    wanted = f"{scope} on {use_case[:60]}" if use_case else f"{scope} on every use case"
    return f"key {holder.name} ({holder.id}) may {holder.may}; this needs {wanted}"


def _too_many(holder: KeyHolder, wait: float) -> str:
    return (
        f"key {holder.name} ({holder.id}) has sent as many requests as it may; the next one is answered in {wait:.1f} s. "
        "Several instances in one request count as one"
    )
