"""When to send a request again, and how long to wait before.

Full jitter: a wait of anything between nothing and a limit that doubles, so that the clients of a server that was away do
not come back all at once (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may be answered."""


@dataclass(frozen=True)
class Retries:
    """How patient a client is.

    Attributes:
        times: how often to try again; 0 for never.
        first: seconds that the first wait takes at most; each further one twice as long.
        longest: seconds that any wait takes at most. If a server asks for more, its refusal is raised at once.

    Example:
        >>> patient = Retries(times=2, first=0.2)
        >>> [patient.wait(tried, chance=lambda: 1.0) for tried in (1, 2, 3)]  # the longest that each wait can be
        [0.2, 0.4, None]
    """

    times: int = 3
    first: float = 0.2
    longest: float = 20.0

    def __post_init__(self) -> None:
        if self.times < 0 or self.first < 0 or self.longest < 0:
            raise ValueError(f"{self}: expected nothing below 0; Retries(times=0) never tries again")

    def wait(self, tried: int, asked: float | None = None, chance: Callable[[], float] = random.random) -> float | None:
        """Seconds to wait; None to give up.

        Args:
            tried: how often it was tried.
            asked: what the server wants (Retry-After); None where it did not say. It is waited for, and the jitter after it.
            chance: draws from 0 to 1.
        """
        if tried > self.times or (asked or 0.0) > self.longest:
            return None
        limit = min(self.longest, self.first * 2.0 ** min(tried - 1, 30))
        return (asked or 0.0) + chance() * limit


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds that the server asks to wait (RFC 9110, section 10.2.3: a number, or a date); None where it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000", which is UTC of an unknown place
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now()).total_seconds())
