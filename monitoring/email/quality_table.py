"""The metrics that an owner is shown, by task, as a table: now, at evaluation, and of the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from noria.core.base.formatting import UNKNOWN
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.metrics.task_profile import profile_of
from noria.core.use_case.metric_catalog import definition, figure

_OF_PROBABILITIES = frozenset({"log_loss"})
"""Metrics that say nothing about a baseline, which gives no probabilities."""


@dataclass(frozen=True)
class QualityLine:
    """One metric now, at evaluation, and of the baseline."""

    name: str
    now: str
    promised: str
    rule: str


def quality_lines(assessment: DriftReport) -> tuple[QualityLine, ...]:
    """One line per metric that the labelled rows could give, money per 1,000 decisions last."""
    found, currency = assessment.performance, assessment.money.currency
    return tuple(
        QualityLine(
            f"{currency} per 1,000" if metric == "value" else definition(metric).title,
            figure(metric, found.metrics[metric]),
            figure(metric, found.promised.get(metric)),
            UNKNOWN if metric in _OF_PROBABILITIES else figure(metric, found.baseline.get(metric)),
        )
        for metric in (*profile_of(assessment.task).metrics, "value")
        if metric in found.metrics
    )
