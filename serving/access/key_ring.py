"""The keys that are valid now, in memory: looked up by the hash of their secret, and kept up to date by one thread.

Timing of a lookup reveals nothing: SHA-256 hashes are compared, and a caller cannot choose one that shares its first bytes
with a stored one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from time import monotonic

import psycopg

from noria.core.base.api_key import Scope, digest, in_words, read_key
from noria.core.base.clock import Clock
from noria.core.base.errors import first_line
from noria.io.poller import Poller, Trouble
from serving.access.key_file import KeyFile, KeyFileError
from serving.access.known_keys import NO_KEYS, NOT_KNOWN, KeyTable, KnownKeys, KnownSecret
from serving.access.rate_limit import Bucket, RateLimits

_REMEMBERED = 4096
"""Headers whose holder is remembered, so that a key is not hashed again for each request."""
_USED_EVERY_SECONDS = 60.0
_log = logging.getLogger(__name__)


class KeyHolder:
    """A valid key, as the request path needs it.

    Attributes:
        used: whether a request used it since the last time that uses were stored.
    """

    __slots__ = ("bucket", "id", "name", "scopes", "until", "use_cases", "used")

    def __init__(self, known: KnownSecret, bucket: Bucket | None) -> None:
        self.id = known.id
        self.name = known.name
        self.scopes = frozenset(known.scopes)
        self.use_cases = None if known.use_cases is None else frozenset(known.use_cases)
        self.until: datetime | None = known.until
        self.bucket = bucket
        self.used = False

    @property
    def may(self) -> str:
        """Its rights in words."""
        scopes = [scope.value for scope in Scope if scope in self.scopes]
        return in_words(scopes, None if self.use_cases is None else sorted(self.use_cases))


class KeySnapshot:
    """Keys as they were known at one moment; replaced as a whole, with the headers that it remembers."""

    def __init__(self, known: KnownKeys, limits: RateLimits) -> None:
        self.known = known
        self.ever_made = known.ever_made
        self.holders: Mapping[str, KeyHolder] = {
            item.digest: KeyHolder(item, limits.bucket(item.id, item.per_minute)) for item in known.secrets
        }
        self._seen: dict[str, KeyHolder] = {}

    def holder(self, authorization: str) -> KeyHolder | None:
        """Holder of the key in a header, such as ``Bearer noria_...`` or the key alone; None if the key is not valid."""
        return self._seen.get(authorization) or self._look_up(authorization)

    def _look_up(self, authorization: str) -> KeyHolder | None:
        presented = read_key(key_text(authorization))
        holder = None if presented is None else self.holders.get(digest(presented.secret))
        if presented is None or holder is None or holder.id != presented.id:
            return None
        if len(self._seen) >= _REMEMBERED:  # one key, sent with more and more blanks
            self._seen.clear()
        self._seen[authorization] = holder
        return holder


class KeyRing:
    """Follows the table of keys.

    Args:
        url: of PostgreSQL; empty if there is none, and so no keys.
        file: keeps keys for a start while PostgreSQL is down.
        limits: rate limits of all keys.
        clock: dates uses of keys.
        seconds: between two looks at the table; a revocation takes effect within this time.
    """

    def __init__(self, url: str, file: KeyFile, *, limits: RateLimits, clock: Clock, seconds: float) -> None:
        self._table = KeyTable(url) if url else None
        self._file = file
        self.limits = limits
        self._clock = clock
        self._on_disk: KnownKeys | None = None
        self._stored_used_at = monotonic()
        self._poller = Poller(self.refresh, name="key-ring", seconds=seconds, on_error=self._failed)
        self._trouble = Trouble(_log, "keys that are known stay as they are: %s", "the keys are up to date again")
        self.snapshot = KeySnapshot(NO_KEYS, limits)

    @property
    def trouble(self) -> str:
        """Reason why keys are not up to date; empty when they are."""
        return self._trouble.reason

    def restore(self) -> None:
        """Take the keys that were known last, from disk, without PostgreSQL; none is valid if the file cannot be used."""
        try:
            self._on_disk = self._file.read()
        except KeyFileError as error:
            _log.error("no key is valid before PostgreSQL answers: %s", error)
            self._take(NOT_KNOWN)
            return
        if self._on_disk is not None:
            self._take(self._on_disk)

    def start(self, patience: float = 5.0) -> None:
        """Begin to follow the table; returns after the first look, so that the first request finds its key known.

        Args:
            patience: longest wait for a slow PostgreSQL in seconds.
        """
        if self._table is not None:
            self._poller.start(patience)

    def stop(self) -> None:
        """Stop following the table."""
        self._poller.stop()
        if self._table is not None:
            self._table.close()

    def refresh(self) -> None:
        """Look at the table once: revoked keys are refused from here on, new ones are valid."""
        if self._table is None:
            return
        try:
            known = self._table.read()
        except psycopg.Error as error:
            self._trouble.report(f"keys cannot be read from PostgreSQL: {first_line(error)}")
            return
        if known != self.snapshot.known:
            self._take(known)
            _log.info("%d secrets of keys are valid", len(known.secrets))
        self._trouble.report(self._keep(known))
        self._store_used()

    def _failed(self) -> None:
        self._trouble.report("looking for keys failed; the log has why")

    def _take(self, known: KnownKeys) -> None:
        used = {holder.id for holder in self.snapshot.holders.values() if holder.used}
        snapshot = KeySnapshot(known, self.limits)
        for holder in snapshot.holders.values():
            holder.used = holder.id in used
        self.snapshot = snapshot
        self.limits.keep_only(frozenset(item.id for item in known.secrets))

    def _keep(self, known: KnownKeys) -> str:
        """Write the known keys to disk; returns the reason of a failure, or an empty text."""
        if known == self._on_disk:
            return ""
        try:
            self._file.write(known)
        except OSError as error:
            return f"keys cannot be kept on disk: a restart without PostgreSQL would know older ones ({error})"
        self._on_disk = known
        return ""

    def _store_used(self) -> None:
        """Store the time of use once a minute, for people only; if that fails, the next round tries again."""
        if self._table is None or monotonic() - self._stored_used_at < _USED_EVERY_SECONDS:
            return
        self._stored_used_at = monotonic()
        used = [holder for holder in self.snapshot.holders.values() if holder.used]
        if not used:
            return
        for holder in used:
            holder.used = False
        try:
            self._table.used({holder.id for holder in used}, self._clock.now())
        except psycopg.Error as error:
            for holder in used:
                holder.used = True
            _log.warning("the time of the last use of keys is not stored: %s", first_line(error))


def key_text(authorization: str) -> str:
    """The key in a header: the text after ``Bearer``, or all of it."""
    scheme, _, rest = authorization.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else authorization.strip()
