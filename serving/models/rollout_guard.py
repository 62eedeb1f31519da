"""Detects harm by a challenger in this process; only counts, since every request pays for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from noria.core.base.formatting import number
from noria.core.stats.confidence_sequence import chance_of_as_many
from noria.core.use_case import GuardPolicy

_ALPHA = 0.001
"""Chance, at one look, of rolling back a challenger that is exactly at the limit."""
_SLOW_SHARE = 0.01
"""A 99th percentile is over its limit if more than this share of requests is."""
_HANGING_TIMES, _HANGING_SHARE, _LEAST_HANGING = 10, 0.001, 2
"""A request that takes this many times the limit blocks all others: of those, far fewer are enough."""
_TIMES_CHAMPION = 2.0
"""Errors and times up to this multiple of the champion's at the same time are the machine's fault."""
_ROWS_TIMED = 100
"""Calls of more rows run in a thread; their time says nothing about a request."""
_WINDOW = 20
"""Window in multiples of `min_requests`: older requests are forgotten after one to two windows."""


@dataclass
class _Counts:
    requests: int = 0
    timed: int = 0
    failed: int = 0
    slow: int = 0
    hanging: int = 0

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(
            self.requests + other.requests,
            self.timed + other.timed,
            self.failed + other.failed,
            self.slow + other.slow,
            self.hanging + other.hanging,
        )


@dataclass
class _Window:
    """Counts of both versions over one stretch of time."""

    champion: _Counts = field(default_factory=_Counts)
    challenger: _Counts = field(default_factory=_Counts)


class Guard:
    """Counts requests of both versions over a sliding window; any thread may call it."""

    def __init__(self, policy: GuardPolicy, *, timed: bool = True) -> None:
        """Begin with no requests.

        Args:
            policy: limits.
            timed: whether times count; not in shadow mode, where no caller waits for the challenger.
        """
        self._policy = policy
        self._timed = timed
        self._lock = threading.Lock()
        self._before, self._now = _Window(), _Window()
        self._invalid = 0

    def see(self, challenger: bool, rows: int, seconds: float, failed: bool) -> str:
        """Count one request; returns the reason to roll back, or an empty text.

        Args:
            challenger: whether the challenger scored, else the champion.
            rows: of the call.
            seconds: duration of the call.
            failed: whether there are no scores.
        """
        with self._lock:
            counts = self._now.challenger if challenger else self._now.champion
            counts.requests += 1
            counts.failed += failed
            slow = False
            if self._timed and rows <= _ROWS_TIMED and not failed:
                slow = seconds * 1000 > self._policy.p99_ms
                counts.timed += 1
                counts.slow += slow
                counts.hanging += seconds * 1000 > self._policy.p99_ms * _HANGING_TIMES
            if not challenger:
                return ""
            reason = self._verdict() if failed or slow else ""
            if counts.requests >= _WINDOW * self._policy.min_requests:
                self._before, self._now = self._now, _Window()
            return reason

    def see_invalid(self, what: str) -> str:
        """Count invalid scores, described by `what`; returns the reason to roll back, or an empty text."""
        with self._lock:
            self._invalid += 1
            if self._invalid <= self._policy.invalid:
                return ""
            times = "" if self._invalid == 1 else f", {self._invalid} times"
            return f"it gave {what}{times}"

    def _verdict(self) -> str:
        ours = self._before.challenger + self._now.challenger
        others = self._before.champion + self._now.champion
        limit = max(_HANGING_SHARE, self._of_champion(others.hanging, others.timed))
        if ours.hanging >= _LEAST_HANGING and _refuted(ours.hanging, ours.timed, limit):
            return (
                f"{ours.hanging:,} of {ours.timed:,} requests took longer than {self._policy.p99_ms * _HANGING_TIMES:g} ms"
            )
        if ours.requests < self._policy.min_requests:
            return ""
        limit = max(self._policy.error_rate, self._of_champion(others.failed, others.requests))
        if _refuted(ours.failed, ours.requests, limit):
            return f"{ours.failed:,} of {ours.requests:,} requests failed; {number(100 * self._policy.error_rate)} % may"
        limit = max(_SLOW_SHARE, self._of_champion(others.slow, others.timed))
        if ours.timed >= self._policy.min_requests and _refuted(ours.slow, ours.timed, limit):
            return (
                f"{ours.slow:,} of {ours.timed:,} requests took longer than {self._policy.p99_ms:g} ms, 1 % may; of the "
                f"champion {others.slow:,} of {others.timed:,} did"
            )
        return ""

    def _of_champion(self, events: int, requests: int) -> float:
        """Twice the champion's share at the same time; 0 if it has fewer than `min_requests` requests."""
        return min(_TIMES_CHAMPION * events / requests, 1.0) if requests >= self._policy.min_requests else 0.0


def _refuted(events: int, trials: int, share: float) -> bool:
    """Whether the events are significantly more than a share of the trials: exact binomial test, one-sided."""
    return events > share * trials and chance_of_as_many(events, trials, share) < _ALPHA
