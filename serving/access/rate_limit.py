"""How many requests a key may send: a bucket of tokens for each, in memory, that fills over time.

Each process has buckets of its own, so none asks another and none waits. With several worker processes each has its share of
a key's limit: requests that spread over them get the whole, a single connection that stays open gets one share.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

_Headers = tuple[tuple[bytes, bytes], ...]


class RateLimitDecision(NamedTuple):
    """Result of asking for a token.

    Attributes:
        wait: seconds until there is one; zero where this one was given.
        headers: limit, what remains of it, and seconds until all of it is there again; of this process.
    """

    wait: float
    headers: _Headers


class Bucket:
    """Tokens of one key: one for each request, full at first.

    Args:
        per_minute: tokens that come in a minute; as many fit in, and one at least, so that a share below one lets in too.
        now: monotonic seconds.
    """

    __slots__ = ("_at", "_capacity", "_limit", "_lock", "_per_second", "_tokens")

    def __init__(self, per_minute: float, now: float) -> None:
        self._capacity = max(1.0, per_minute)
        self._per_second = per_minute / 60
        self._tokens = self._capacity
        self._at = now
        self._limit = (b"ratelimit-limit", b"%d" % self._capacity)
        self._lock = threading.Lock()

    def take(self, now: float) -> RateLimitDecision:
        """Take a token, if there is one.

        Args:
            now: monotonic seconds; never earlier than before.
        """
        with self._lock:
            tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
            self._tokens = tokens = tokens if wait else tokens - 1
            self._at = now
        remaining = (b"ratelimit-remaining", b"%d" % tokens)
        reset = (b"ratelimit-reset", b"%d" % math.ceil((self._capacity - tokens) / self._per_second))
        return RateLimitDecision(wait, (self._limit, remaining, reset))


class RateLimits:
    """The buckets of all keys in this process.

    Args:
        workers: processes that answer side by side; each gives its share of a limit.
        now: monotonic seconds.
    """

    def __init__(self, workers: int = 1, now: Callable[[], float] = monotonic) -> None:
        if workers < 1:
            raise ValueError(f"{workers} workers: at least one answers")
        self._workers = workers
        self.now = now
        self._buckets: dict[str, tuple[int, Bucket]] = {}

    def bucket(self, key_id: str, per_minute: int | None) -> Bucket | None:
        """The bucket of a key, the same one each time unless its limit has changed; None where there is no limit."""
        if per_minute is None:
            self._buckets.pop(key_id, None)
            return None
        limit, bucket = self._buckets.get(key_id, (0, None))
        if bucket is None or limit != per_minute:
            bucket = Bucket(per_minute / self._workers, self.now())
            self._buckets[key_id] = (per_minute, bucket)
        return bucket

    def keep_only(self, key_ids: frozenset[str]) -> None:
        """Forget the buckets of keys that are gone."""
        for gone in self._buckets.keys() - key_ids:
            del self._buckets[gone]
