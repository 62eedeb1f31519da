"""Champions that are not served: reasons, and the time of the next try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from serving.models.registry_client import PublishedVersion

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0


@dataclass(frozen=True)
class _Refusal:
    champion: PublishedVersion
    reason: str
    retry_at: float
    """Monotonic seconds."""
    pause: float


class LoadBackoff:
    """At most one refusal for each use case; each further refusal of a champion doubles the pause, up to five minutes."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    def may_try(self, champion: PublishedVersion) -> bool:
        """Whether this very champion was not refused, or its pause is over."""
        refusal = self._refusals.get(champion.use_case)
        return refusal is None or refusal.champion != champion or monotonic() >= refusal.retry_at

    def refuse(self, champion: PublishedVersion, reason: str) -> float:
        """Remember the reason; returns the pause before the next try in seconds."""
        earlier = self._refusals.get(champion.use_case)
        again = earlier is not None and earlier.champion == champion
        pause = min(earlier.pause * 2, _LONGEST_PAUSE) if earlier and again else _FIRST_PAUSE
        self._refusals[champion.use_case] = _Refusal(champion, reason, monotonic() + pause, pause)
        return pause

    def clear(self, use_case: str) -> None:
        """Forget the refusal of a use case."""
        self._refusals.pop(use_case, None)

    def reasons(self) -> Mapping[str, str]:
        """Reasons by use case."""
        refusals = self._refusals.copy()
        return {name: f"version {refusal.champion.version}: {refusal.reason}" for name, refusal in refusals.items()}
