"""Where a process stands between start and end, for the readiness page and for whoever balances the load."""

from __future__ import annotations

from enum import StrEnum

from fastapi import FastAPI


class ProcessPhase(StrEnum):
    """A process goes through these once, in this order."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    """It was told to stop, and still answers what comes in; send requests elsewhere."""


class Lifecycle:
    """The phase of one app in this process. An app that no server of ours runs is serving."""

    def __init__(self) -> None:
        self.phase = ProcessPhase.SERVING

    def starting(self) -> None:
        """Begin."""
        self.phase = ProcessPhase.STARTING

    def started(self) -> None:
        """Everything that answers needs is there; ends the start, and nothing else."""
        if self.phase is ProcessPhase.STARTING:
            self.phase = ProcessPhase.SERVING

    def drain(self) -> None:
        """Told to stop. May be called in a signal handler."""
        self.phase = ProcessPhase.DRAINING


def lifecycle_of(app: FastAPI) -> Lifecycle:
    """The lifecycle of an app; the same object each time."""
    kept = getattr(app.state, "lifecycle", None)
    if not isinstance(kept, Lifecycle):
        kept = app.state.lifecycle = Lifecycle()
    return kept
