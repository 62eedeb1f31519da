"""Challengers that score beside a champion, now, in this process.

Who is answered by whom is `noria.core.lifecycle.rollout.assign`; what takes a challenger back is
`serving.models.rollout_guard`. When it does, this process stops at once; a file beside the journal tells the other processes
of this folder, which look at it four times a second, and every later start; and whoever asks the registry reports it there,
again until it is heard.

rollouts/<use case>.json    the last `GuardReport` of that use case
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from noria.core.base.clock import Clock
from noria.core.lifecycle.rollout import GuardReport, Rollout, assign
from noria.core.model.decision import Scores
from noria.io.atomic import write_atomically
from noria.io.poller import Poller
from serving.contract.scores import are_answers, expected_shape
from serving.models.rollout_guard import Guard
from serving.models.served_model import ServedModel

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25
_LONGEST_REASON = 1000
"""The registry takes no tag of any length."""


class ActiveRollout:
    """One challenger that scores beside its champion.

    Attributes:
        rollout: the document.
        challenger: the version that is tried.
        shadow: it scores every request, and answers none.
        guard: counts what it does.
    """

    __slots__ = ("_take_back", "challenger", "guard", "rollout", "shadow", "share")

    def __init__(
        self, rollout: Rollout, challenger: ServedModel, guard: Guard, roll_back_challenger: Callable[[str], None]
    ) -> None:
        self.rollout = rollout
        self.challenger = challenger
        self.shadow = rollout.shadow
        self.share = rollout.share
        self._take_back = roll_back_challenger
        self.guard = guard

    def takes(self, key: str) -> bool:
        """Whether the challenger answers for an entity, or for a prediction's id where there is no entity."""
        return assign(key, self.rollout.id, self.share)

    def fault(self, scores: Scores, rows: int) -> str:
        """Why the challenger's scores of so many rows are no answers; empty where they are.

        What the champion cannot answer either is the request's fault: ask it before `observe` is told.
        """
        manifest = self.challenger.predictor.manifest
        expected = expected_shape(manifest, rows)
        if scores.shape != expected:
            return f"scores of shape {scores.shape}, expected {expected}"
        fine = are_answers(manifest, scores)
        return "" if fine.all() else f"the score {scores[int(fine.argmin())].tolist()}"

    def observe(self, challenger: bool, rows: int, seconds: float, failed: bool, invalid: str = "") -> None:
        """Tell the guard of scores that were asked for; it may take the challenger back before this returns.

        Args:
            challenger: whose scores; of the champion, too, whenever a rollout is under way, to compare with.
            rows: how many.
            seconds: how long it took.
            failed: whether there are none, and the champion answered instead.
            invalid: what `fault` said, where the champion has answers for the same rows; then `failed` is true as well.
        """
        reason = self.guard.see_invalid(invalid) if invalid and challenger else ""
        reason = reason or self.guard.see(challenger, rows, seconds, failed)
        if reason:
            self._take_back(reason)


def _guard_of(rollout: Rollout, before: ActiveRollout | None) -> Guard:
    """At the next step it goes on counting: it must know the champion's times when hardly anybody asks for it any more."""
    if before is not None and before.rollout.id == rollout.id and not before.shadow:
        return before.guard
    return Guard(rollout.policy.guard, timed=not rollout.shadow)


def _myself() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


def _nobody(_use_case: str) -> None:
    return None


class ActiveRollouts:
    """The rollouts of all use cases. `active` is for every request; the rest is for the thread that asks the registry."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._active: dict[str, ActiveRollout] = {}
        self._stops: dict[str, GuardReport] = {}
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()
        self.on_roll_back: Callable[[str], object] = _nobody
        """Told the use case when this process takes a challenger back."""
        self._poller = Poller(self.look, name="rollouts", seconds=_LOOK_SECONDS)

    def active(self, use_case: str) -> ActiveRollout | None:
        """The challenger that scores beside the champion of a use case now."""
        return self._active.get(use_case)

    def __iter__(self) -> Iterator[ActiveRollout]:
        return iter(tuple(self._active.values()))

    @property
    def rolled_back(self) -> Mapping[str, str]:
        """Why challengers were taken back, by use case; only of rollouts that are not over yet."""
        return {name: report.reason for name, report in self._stops.copy().items()}

    def start(self) -> None:
        """Begin to look at what other processes say."""
        self._poller.start()

    def close(self) -> None:
        """Look no more."""
        self._poller.stop(5)

    def begin(self, rollout: Rollout, challenger: ServedModel) -> bool:
        """Let a challenger score from now on, or at another share; false where it was taken back already."""
        with self._lock:
            name = rollout.use_case
            if (stop := self._stop_of(rollout)) is not None:
                self._stops[name] = stop
                self._active.pop(name, None)
                return False
            self._stops.pop(name, None)
            guard = _guard_of(rollout, self._active.get(name))
            self._active[name] = ActiveRollout(
                rollout, challenger, guard, lambda reason: self.roll_back_challenger(rollout, reason)
            )
        return True

    def end(self, use_case: str) -> None:
        """The rollout is over: no challenger scores any more, and there is nothing left to tell of it."""
        with self._lock:
            self._active.pop(use_case, None)
            self._stops.pop(use_case, None)

    def roll_back_challenger(self, rollout: Rollout, reason: str, *, by: str = "") -> None:
        """The champion answers everything from now on, here, in the processes beside this one, and after a restart.

        Args:
            rollout: whose challenger does harm.
            reason: how it was noticed.
            by: who noticed; empty for this process.
        """
        report = GuardReport(rollout=rollout.id, reason=reason[:_LONGEST_REASON], at=self._clock.now(), by=by or _myself())
        with self._lock:
            if self._stop_of(rollout) is not None:
                return
            self._stops[rollout.use_case] = report
            self._active.pop(rollout.use_case, None)
            _log.error("%s: version %s is taken back: %s", rollout.use_case, rollout.challenger.version, reason)
            try:
                write_atomically(self._path(rollout.use_case), report.model_dump_json())
            except OSError as error:
                _log.error("%s: other processes hear of it from the registry only: %s", rollout.use_case, error)
        self.on_roll_back(rollout.use_case)

    def stopped(self, rollout: Rollout) -> GuardReport | None:
        """What this folder's processes say of a rollout that one of them has taken back."""
        with self._lock:
            return self._stop_of(rollout)

    def look(self) -> None:
        """Take back what another process has taken back."""
        for name, active in tuple(self._active.items()):
            if self._changed(name):
                with self._lock:
                    stop = self._stop_of(active.rollout)
                    if stop is not None and self._active.get(name) is active:
                        self._stops[name] = stop
                        del self._active[name]
                        _log.error("%s: version %s is taken back by %s", name, active.challenger.version, stop.by)

    def _changed(self, use_case: str) -> bool:
        try:
            written = self._path(use_case).stat().st_mtime_ns
        except OSError:
            return False
        before, self._seen[use_case] = self._seen.get(use_case), written
        return written != before

    def _stop_of(self, rollout: Rollout) -> GuardReport | None:
        for report in (self._stops.get(rollout.use_case), self._read(rollout.use_case)):
            if report is not None and report.rollout == rollout.id:
                return report
        return None

    def _read(self, use_case: str) -> GuardReport | None:
        try:
            return GuardReport.model_validate_json(self._path(use_case).read_bytes())
        except (OSError, ValidationError):
            return None

    def _path(self, use_case: str) -> Path:
        return self._folder / f"{use_case}.json"
