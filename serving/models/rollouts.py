"""Challengers that score beside a champion, now, in this process.

`noria.core.lifecycle.rollout.assign` splits requests between both; `serving.models.rollout_guard` watches the challenger. A
roll-back begins in this process, in another one of the same folder, or in the registry:

- here, the challenger stops at once, and a file tells the other processes (`serving.models.guard_reports`);
- every process looks at that file four times a second, and at its start;
- `serving.models.challengers` exchanges reports with the registry until both sides agree.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from noria.core.base.clock import Clock
from noria.core.lifecycle.rollout import GuardReport, Rollout, assign
from noria.core.model.decision import Scores
from noria.io.poller import Poller
from serving.contract.scores import expected_shape, valid_rows
from serving.models.guard_reports import GuardReports
from serving.models.rollout_guard import Guard
from serving.models.served_model import ServedModel

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25
_LONGEST_REASON = 1000
"""Characters; the registry limits the length of a tag."""


class RolloutMetrics(Protocol):
    """Metrics of rollouts; `serving.observability.metrics.Metrics` has them."""

    def count_rolled_back(self, use_case: str) -> None:
        """Count a challenger that was rolled back."""
        ...


class ActiveRollout:
    """One challenger that scores beside its champion.

    Attributes:
        rollout: the document.
        challenger: the version that is tried.
        shadow: whether the challenger scores every request and its scores are not returned.
        guard: counts requests, errors and times of both versions.
    """

    __slots__ = ("_rollouts", "challenger", "guard", "rollout", "shadow", "share")

    def __init__(self, rollouts: ActiveRollouts, rollout: Rollout, challenger: ServedModel, guard: Guard) -> None:
        self._rollouts = rollouts
        self.rollout = rollout
        self.challenger = challenger
        self.shadow = rollout.shadow
        self.share = rollout.share
        self.guard = guard

    def takes(self, key: str) -> bool:
        """Whether the challenger answers for an entity, or for a prediction's id if there is no entity."""
        return assign(key, self.rollout.id, self.share)

    def fault(self, scores: Scores, rows: int) -> str:
        """Reason why the challenger's scores of `rows` rows are not valid; empty if they are.

        A request that the champion cannot answer either is not the challenger's fault: ask the champion before `observe`.
        """
        manifest = self.challenger.predictor.manifest
        expected = expected_shape(manifest, rows)
        if scores.shape != expected:
            return f"scores of shape {scores.shape}, expected {expected}"
        valid = valid_rows(manifest, scores)
        return "" if valid.all() else f"the score {scores[int(valid.argmin())].tolist()}"

    def observe(self, challenger: bool, rows: int, seconds: float, failed: bool, invalid: str = "") -> None:
        """Count one call of a version; it may roll the challenger back before this returns.

        Args:
            challenger: whether the challenger scored; else the champion, whose calls the guard compares with.
            rows: how many.
            seconds: duration of the call.
            failed: whether it gave no scores, and the champion answered instead.
            invalid: result of `fault` if the champion has answers for the same rows; then `failed` is true as well.
        """
        reason = self.guard.see_invalid(invalid) if invalid and challenger else ""
        reason = reason or self.guard.see(challenger, rows, seconds, failed)
        if reason:
            self._rollouts.roll_back(self.rollout, reason)


class ActiveRollouts:
    """Rollouts of all use cases. `active` is for every request; the rest is for the thread that asks the registry."""

    def __init__(self, folder: Path, clock: Clock, metrics: RolloutMetrics) -> None:
        """Look at nothing yet.

        Args:
            folder: of the files that processes exchange.
            clock: dates reports.
            metrics: counts roll-backs of this process.
        """
        self._reports = GuardReports(folder)
        self._clock = clock
        self._metrics = metrics
        self._active: dict[str, ActiveRollout] = {}
        self._rolled_back: dict[str, GuardReport] = {}
        self._lock = threading.Lock()
        self._poller = Poller(self.look, name="rollouts", seconds=_LOOK_SECONDS)

    def active(self, use_case: str) -> ActiveRollout | None:
        """The challenger that scores beside the champion of a use case now."""
        return self._active.get(use_case)

    def __iter__(self) -> Iterator[ActiveRollout]:
        return iter(tuple(self._active.values()))

    @property
    def rolled_back(self) -> Mapping[str, str]:
        """Reasons of roll-backs by use case, of rollouts that are not over yet."""
        return {name: report.reason for name, report in self._rolled_back.copy().items()}

    def start(self) -> None:
        """Begin to look at the reports of other processes."""
        self._poller.start()

    def close(self) -> None:
        """Stop looking."""
        self._poller.stop(5)

    def begin(self, rollout: Rollout, challenger: ServedModel) -> bool:
        """Let a challenger score from now on, or at another share; False if it was rolled back already."""
        with self._lock:
            name = rollout.use_case
            if (report := self._report_of(rollout)) is not None:
                self._rolled_back[name] = report
                self._active.pop(name, None)
                return False
            self._rolled_back.pop(name, None)
            guard = _guard_of(rollout, self._active.get(name))
            self._active[name] = ActiveRollout(self, rollout, challenger, guard)
        return True

    def end(self, use_case: str) -> None:
        """Stop the challenger, if any, and forget the roll-back of a rollout that is over."""
        with self._lock:
            self._active.pop(use_case, None)
            self._rolled_back.pop(use_case, None)

    def roll_back(self, rollout: Rollout, reason: str, *, by: str = "") -> None:
        """Let the champion answer everything from now on: here, in the processes beside this one, and after a restart.

        Args:
            rollout: the one to end.
            reason: how it was noticed.
            by: the process that noticed; empty for this one.
        """
        report = GuardReport(rollout=rollout.id, reason=reason[:_LONGEST_REASON], at=self._clock.now(), by=by or _myself())
        with self._lock:
            if self._report_of(rollout) is not None:
                return
            self._rolled_back[rollout.use_case] = report
            self._active.pop(rollout.use_case, None)
            _log.error("%s: version %s is rolled back: %s", rollout.use_case, rollout.challenger.version, reason)
            try:
                self._reports.write(rollout.use_case, report)
            except OSError as error:
                _log.error("%s: other processes learn of it from the registry only: %s", rollout.use_case, error)
        self._metrics.count_rolled_back(rollout.use_case)

    def report_of(self, rollout: Rollout) -> GuardReport | None:
        """Report of this folder's processes about a roll-back; None if none of them rolled the rollout back."""
        with self._lock:
            return self._report_of(rollout)

    def look(self) -> None:
        """Stop challengers that another process has rolled back."""
        for name, active in tuple(self._active.items()):
            if self._reports.changed(name):
                with self._lock:
                    report = self._report_of(active.rollout)
                    if report is not None and self._active.get(name) is active:
                        self._rolled_back[name] = report
                        del self._active[name]
                        _log.error("%s: version %s is rolled back by %s", name, active.challenger.version, report.by)

    def _report_of(self, rollout: Rollout) -> GuardReport | None:
        for report in (self._rolled_back.get(rollout.use_case), self._reports.read(rollout.use_case)):
            if report is not None and report.rollout == rollout.id:
                return report
        return None


def _guard_of(rollout: Rollout, before: ActiveRollout | None) -> Guard:
    """The guard of the step before, which knows the champion's times also when few requests are left to it."""
    if before is not None and before.rollout.id == rollout.id and not before.shadow:
        return before.guard
    return Guard(rollout.policy.guard, timed=not rollout.shadow)


def _myself() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"
