"""Champions that are not served: why, and when each is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from serving.models.registry_client import PublishedVersion

_FIRST_RETRY, _LAST_RETRY = 5.0, 300.0


@dataclass(frozen=True)
class _Refusal:
    champion: PublishedVersion
    reason: str
    retry_at: float
    """Monotonic seconds."""
    pause: float


class LoadBackoff:
    """One for each use case at most; a champion that is refused again waits twice as long, five minutes at most."""

    def __init__(self) -> None:
        self._by_use_case: dict[str, _Refusal] = {}

    def may_try(self, champion: PublishedVersion) -> bool:
        """Whether this very champion was not refused, or has waited long enough."""
        refusal = self._by_use_case.get(champion.use_case)
        return refusal is None or refusal.champion != champion or monotonic() >= refusal.retry_at

    def refuse(self, champion: PublishedVersion, reason: str) -> float:
        """Remember why; returns after how many seconds it may be tried again."""
        earlier = self._by_use_case.get(champion.use_case)
        again = earlier is not None and earlier.champion == champion
        pause = min(earlier.pause * 2, _LAST_RETRY) if earlier and again else _FIRST_RETRY
        self._by_use_case[champion.use_case] = _Refusal(champion, reason, monotonic() + pause, pause)
        return pause

    def clear(self, use_case: str) -> None:
        """Nothing is refused for a use case any more."""
        self._by_use_case.pop(use_case, None)

    def reasons(self) -> Mapping[str, str]:
        """Why, by use case."""
        return {name: f"version {item.champion.version}: {item.reason}" for name, item in self._by_use_case.copy().items()}
