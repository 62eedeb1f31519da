"""Readiness: whether to send requests here, and warnings for the operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from serving.journal.background_log import LogState
from serving.models.served_model import ServedModel
from serving.observability.lifecycle import ProcessPhase


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class RegistryState(_Schema):
    """State of the model registry."""

    answers: bool
    """Whether it answered the last time it was asked."""
    trouble: str
    """Reason if it did not."""


class LogReport(_Schema):
    """State of the log of predictions."""

    database_answers: bool
    """Whether PostgreSQL took predictions the last time."""
    trouble: str
    """Reason if it did not; predictions wait in the journal."""
    journal_segments: int
    """Files that wait."""
    journal_bytes: int
    """Bytes that wait."""


class Readiness(_Schema):
    """Whether requests are answered, and warnings. Neither the registry nor PostgreSQL is needed to answer."""

    ready: bool
    """Whether to send requests here."""
    phase: ProcessPhase
    """starting, serving or draining: a process that got SIGTERM answers requests, and wants no new ones."""
    reason: str
    """Reason not to send requests here."""
    warnings: tuple[str, ...]
    """Problems to look at although requests are answered."""
    versions: dict[str, str]
    """The version that answers, by use case."""
    refused: dict[str, str]
    """Champions that are not served, with the reason, by use case."""
    registry: RegistryState
    """The model registry."""
    predictions: LogReport
    """The log of predictions."""


@dataclass(frozen=True)
class DependencyHealth:
    """State of the services that requests do not need at once.

    Attributes:
        registry_trouble: reason why the model registry does not answer; empty if it does.
        refused: reasons why champions are not served, by use case.
        predictions: the log of predictions.
        feedback: the log of feedback; None to leave it out.
        rolled_back: reasons why challengers were rolled back, by use case; of rollouts that are not over yet.
        others: further warnings.
    """

    registry_trouble: str
    refused: Mapping[str, str]
    predictions: LogState
    feedback: LogState | None = None
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def readiness_of(models: Iterable[ServedModel], phase: ProcessPhase, health: DependencyHealth) -> Readiness:
    """The answer of `/readyz`.

    Args:
        models: the versions that answer.
        phase: of this process.
        health: of registry and logs.
    """
    versions = {model.name: model.version for model in models}
    reason = _reason(phase, versions, health.predictions)
    log = health.predictions
    return Readiness(
        ready=not reason,
        phase=phase,
        reason=reason,
        warnings=tuple(_warnings(health)),
        versions=versions,
        refused=dict(health.refused),
        registry=RegistryState(answers=not health.registry_trouble, trouble=health.registry_trouble),
        predictions=LogReport(
            database_answers=not log.trouble,
            trouble=log.trouble,
            journal_segments=log.backlog.segments,
            journal_bytes=log.backlog.bytes,
        ),
    )


def _reason(phase: ProcessPhase, versions: Mapping[str, str], log: LogState) -> str:
    if phase is ProcessPhase.STARTING:
        return "it is starting; ask again in a second"
    if phase is ProcessPhase.DRAINING:
        return "it is stopping; send requests elsewhere"
    if not versions:
        return "there is no use case; add a folder with a use_case.yaml"
    return log.journal_trouble


def _warnings(health: DependencyHealth) -> Iterator[str]:
    if health.registry_trouble:
        yield f"the model registry does not answer, so no new champion is served: {health.registry_trouble}"
    logs = {"predictions": health.predictions, "feedback": health.feedback}
    for what, log in logs.items():
        if log is not None:
            yield from _warnings_of(what, log)
    for name, reason in health.refused.items():
        yield f"{name}: a champion is not served: {reason}"
    for name, reason in health.rolled_back.items():
        yield f"{name}: the challenger was rolled back: {reason}"
    yield from health.others


def _warnings_of(what: str, log: LogState) -> Iterator[str]:
    if log.trouble:
        yield f"PostgreSQL does not take {what}, which wait on disk: {log.trouble}"
    if log.warning:
        yield log.warning
    if log.unlogged:
        yield f"{log.unlogged:,} {what} were answered and not recorded since the start"
