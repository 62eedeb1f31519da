"""Whether to send requests here, and what a person should look at although answers are given."""

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
    """How the model registry is doing."""

    answers: bool
    """Whether it answered the last time it was asked."""
    trouble: str
    """Why it did not."""


class LogReport(_Schema):
    """How the log of predictions is doing."""

    database_answers: bool
    """Whether PostgreSQL took predictions the last time."""
    trouble: str
    """Why it did not; they wait in the journal."""
    journal_segments: int
    """Files that wait."""
    journal_bytes: int
    """Bytes that wait."""


class Readiness(_Schema):
    """Whether predictions are answered, and what is wrong behind them. Neither the registry nor PostgreSQL is needed."""

    ready: bool
    """Whether to send requests here."""
    phase: ProcessPhase
    """starting, serving or draining: a process that was told to stop answers what comes in, and wants no more."""
    reason: str
    """Why not to send requests here."""
    warnings: tuple[str, ...]
    """What to look at although predictions are answered."""
    versions: dict[str, str]
    """The version that answers, by use case."""
    refused: dict[str, str]
    """Champions that are not served, and why."""
    registry: RegistryState
    """The model registry."""
    predictions: LogReport
    """The log of predictions."""


@dataclass(frozen=True)
class DependencyHealth:
    """How that is doing which answers depend on only in the long run.

    Attributes:
        registry_trouble: why the model registry does not answer; empty when it does.
        refused: why champions are not served, by use case.
        predictions: the log of predictions.
        feedback: the log of feedback.
        taken_back: why challengers were taken back, by use case; only of rollouts that are not over yet.
        others: further warnings, of parts that know best how to put them.
    """

    registry_trouble: str
    refused: Mapping[str, str]
    predictions: LogState
    feedback: LogState | None = None
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def readiness_of(models: Iterable[ServedModel], phase: ProcessPhase, behind: DependencyHealth) -> Readiness:
    """What to tell whoever asks.

    Args:
        models: the versions that answer.
        phase: of this process.
        behind: what stands behind the answers.
    """
    versions = {model.name: model.version for model in models}
    reason = _reason(phase, versions, behind.predictions)
    log = behind.predictions
    return Readiness(
        ready=not reason,
        phase=phase,
        reason=reason,
        warnings=tuple(_warnings(behind)),
        versions=versions,
        refused=dict(behind.refused),
        registry=RegistryState(answers=not behind.registry_trouble, trouble=behind.registry_trouble),
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
        return "it was told to stop; send requests elsewhere"
    if not versions:
        return "there is no use case; add a folder with a use_case.yaml"
    return log.journal_trouble


def _warnings(behind: DependencyHealth) -> Iterator[str]:
    if behind.registry_trouble:
        yield f"the model registry does not answer, so no new champion is served: {behind.registry_trouble}"
    logs = {"predictions": behind.predictions, "feedback": behind.feedback}
    for what, log in logs.items():
        if log is not None:
            yield from _warnings_of(what, log)
    for name, reason in behind.refused.items():
        yield f"{name}: a champion is not served: {reason}"
    for name, reason in behind.rolled_back.items():
        yield f"{name}: the challenger was taken back: {reason}"
    yield from behind.others


def _warnings_of(what: str, log: LogState) -> Iterator[str]:
    if log.trouble:
        yield f"PostgreSQL does not take {what}, which wait on disk: {log.trouble}"
    if log.warning:
        yield log.warning
    if log.unlogged:
        yield f"{log.unlogged:,} {what} were answered and not recorded since the start"
