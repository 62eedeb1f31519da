"""The model card: what a version is for, what it was made of, how good it is, what may go wrong and who approved it.

    card.json   the facts, for machines, and for writing the page again
    card.html   the same for people: one file, no script, no request to anywhere

Everything but the checklist and the history is fixed when a version is made. Those two go on, so that a card that is written
again says what has happened since (Mitchell et al., "Model Cards for Model Reporting", 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from noria.core.lifecycle.audit_event import Action, AuditEvent
from noria.core.lifecycle.check_line import ChecklistItem
from noria.core.lifecycle.evaluation import (
    Difference,
    Estimate,
    EvaluationReport,
    GateResult,
    ReferenceResult,
    SegmentMetrics,
)
from noria.core.model.bundle import Manifest, Provenance
from noria.core.model.signature import Signature
from noria.core.use_case import UseCase
from noria.reports.lineage import Lineage

_TOLD = frozenset(Action) - {Action.PROMOTION_INTENDED, Action.ROLL_BACK_INTENDED}
"""Intents are followed by an outcome that says the same."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HistoryLine(_Model):
    """Something that happened to a version, from the audit trail."""

    at: datetime
    action: Action
    version: str
    previous: str
    actor: str
    approved_by: str
    reason: str


class ModelCard(_Model):
    """Everything that a card says of one version."""

    format: Literal[1] = 1
    use_case: UseCase
    """As it was when the version was made."""
    version: str = ""
    """Number in the registry; empty before it has one."""
    bundle_digest: str
    candidate: str
    """Kind of model."""
    provenance: Provenance | None
    signature: Signature
    """What it looks at, with the ranges and categories that training saw."""
    params: dict[str, str] = {}
    environment: dict[str, str] = {}
    """Versions of what computed it."""
    lineage: Lineage | None = None
    report: EvaluationReport
    """Without its curves, which the evaluation page shows."""
    gates: tuple[GateResult, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()
    history: tuple[HistoryLine, ...] = ()
    written_at: datetime


def make_card(
    use_case: UseCase,
    manifest: Manifest,
    report: EvaluationReport,
    *,
    bundle_digest: str,
    written_at: datetime,
    gates: Sequence[GateResult] = (),
    lineage: Lineage | None = None,
    params: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ModelCard:
    """The card of a version that has just been made; the checklist and the history come by `brought_up_to_date`.

    Args:
        use_case: as it is now.
        manifest: of the version's bundle.
        report: its evaluation.
        bundle_digest: of its bundle.
        written_at: when the card is written.
        gates: results of its gates.
        lineage: where its training set came from.
        params: hyperparameters, and what else the search says of itself.
        environment: versions of what computed it.
    """
    return ModelCard(
        use_case=use_case,
        bundle_digest=bundle_digest,
        candidate=manifest.candidate,
        provenance=manifest.provenance,
        signature=manifest.signature,
        params=dict(params or {}),
        environment=dict(environment or {}),
        lineage=lineage,
        report=_condensed(report),
        gates=tuple(gates),
        written_at=written_at,
    )


def brought_up_to_date(
    card: ModelCard, *, version: str, checklist: Sequence[ChecklistItem], events: Sequence[AuditEvent], now: datetime
) -> ModelCard:
    """The card with what has happened since: the version's events, those that took its place, and the checklist of today.

    Args:
        card: as it was written before.
        version: its number in the registry; empty before it has one.
        checklist: as computed now.
        events: the use case's audit trail.
        now: when the card is written.
    """
    return card.model_copy(
        update={
            "version": version,
            "checklist": tuple(checklist),
            "history": history_of(version, events),
            "written_at": now,
        }
    )


def history_of(version: str, events: Sequence[AuditEvent]) -> tuple[HistoryLine, ...]:
    """Events of one version, oldest first; empty for a version that has no number yet."""
    return tuple(
        HistoryLine(
            at=event.at,
            action=event.action,
            version=event.version,
            previous=event.previous,
            actor=event.actor,
            approved_by=event.approved_by,
            reason=event.reason,
        )
        for event in events
        if version and event.action in _TOLD and _concerns(event, version)
    )


def _concerns(event: AuditEvent, version: str) -> bool:
    """Whether an event is about the version: by itself, or because another one took its place."""
    replaced = event.action in (Action.PROMOTED, Action.ROLLED_BACK, Action.FOUND_MOVED) and event.previous == version
    return event.version == version or replaced


def _condensed(report: EvaluationReport) -> EvaluationReport:
    """Without curves and samples, and without undefined figures, for which JSON has no word."""
    return report.model_copy(
        update={
            "threshold_curve": (),
            "calibration": (),
            "residuals": (),
            "learning_curve": (),
            "examples": (),
            "metrics": _finite(report.metrics),
            "intervals": _defined(report.intervals),
            "segments": tuple(map(_segment, report.segments)),
            "rivals": tuple(map(_reference, report.rivals)),
            "values": tuple(line for line in report.values if _is_defined(line.per_1000)),
        }
    )


def _segment(part: SegmentMetrics) -> SegmentMetrics:
    return part.model_copy(update={"metrics": _finite(part.metrics), "intervals": _defined(part.intervals)})


def _reference(reference: ReferenceResult) -> ReferenceResult:
    differences = {name: found for name, found in reference.differences.items() if _is_defined(found)}
    return reference.model_copy(update={"metrics": _finite(reference.metrics), "differences": differences})


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: found for name, found in metrics.items() if math.isfinite(found)}


def _defined(intervals: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {name: found for name, found in intervals.items() if _is_defined(found)}


def _is_defined(found: Estimate | Difference) -> bool:
    return all(map(math.isfinite, (found.value, found.low, found.high)))
