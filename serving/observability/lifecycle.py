"""Phase of a process between start and end, for `/readyz` and so for load balancers."""

from __future__ import annotations

from enum import StrEnum

from fastapi import FastAPI


class ProcessPhase(StrEnum):
    """A process goes through these once, in this order."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    """It got SIGTERM and still answers requests; send new ones elsewhere."""


class Lifecycle:
    """The phase of one app in this process; an app that runs without our server is always serving."""

    def __init__(self) -> None:
        self.phase = ProcessPhase.SERVING

    def starting(self) -> None:
        """Begin the start."""
        self.phase = ProcessPhase.STARTING

    def started(self) -> None:
        """End the start: everything that requests need is there; no effect in another phase."""
        if self.phase is ProcessPhase.STARTING:
            self.phase = ProcessPhase.SERVING

    def drain(self) -> None:
        """Begin to stop. May be called in a signal handler."""
        self.phase = ProcessPhase.DRAINING


def lifecycle_of(app: FastAPI) -> Lifecycle:
    """The lifecycle of an app; the same object each time."""
    kept = getattr(app.state, "lifecycle", None)
    if not isinstance(kept, Lifecycle):
        kept = app.state.lifecycle = Lifecycle()
    return kept
