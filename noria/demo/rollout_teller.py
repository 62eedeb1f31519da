"""Lines that show a person who waits how a new version takes over."""

from __future__ import annotations

from collections.abc import Callable

from noria.bootstrap import Services
from noria.core.lifecycle.rollout import Rollout


class RolloutTeller:
    """Says each turn of a use case's rollout once.

    Args:
        services: the registry is asked.
        use_case: its name.
        say: prints a line.
    """

    def __init__(self, services: Services, use_case: str, say: Callable[[str], None]) -> None:
        self._services = services
        self._use_case = use_case
        self._say = say
        self._shown = self._turn(self._current())

    def look(self) -> None:
        """Say what has changed since the last look."""
        rollout = self._current()
        if rollout is None or (turn := self._turn(rollout)) == self._shown:
            return
        self._shown = turn
        version = rollout.challenger.version
        if rollout.is_live:
            self._say(f"version {version} {self._does(rollout)}; version {rollout.champion.version} stands by")
        else:
            self._say(f"version {version}: {rollout.state.words} ({rollout.reason})")

    def _current(self) -> Rollout | None:
        return self._services.registry.rollout(self._use_case)

    @staticmethod
    def _does(rollout: Rollout) -> str:
        if rollout.shadow:
            return "runs in shadow mode; its answers are not returned"
        return "answers everything" if rollout.share == 100 else f"answers {rollout.share} % of the entities"

    @staticmethod
    def _turn(rollout: Rollout | None) -> tuple[str, int, bool, bool]:
        """Facts that are worth a line; a promotion that is under way is not."""
        return ("", 0, False, False) if rollout is None else (rollout.id, rollout.share, rollout.shadow, rollout.is_live)
