"""Periods and quality as people write them."""

from __future__ import annotations

from datetime import timedelta

from noria.core.base.formatting import day, moment, money
from noria.core.base.interval import Cadence, Interval
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.monitoring_verdict import QualityComparison, Verdict


def period(interval: Interval) -> str:
    """`2013-05` for a month, `2013-05-03`, `2013-05-03 14:00 UTC`, or the first and last day."""
    start, last = interval.start, interval.end - timedelta(microseconds=1)
    if Cadence.MONTHLY.floor(start) == start and Cadence.MONTHLY.next(start) == interval.end:
        return day(start)[:7]
    if interval.end - start < timedelta(days=1):
        return moment(start)
    if start.date() == last.date():
        return day(start)
    return f"{day(start)} to {day(last)}"


def quality_in_words(quality: QualityComparison) -> str:
    """`ROC AUC 0.681, at evaluation 0.710`; the second only where it is known."""
    if quality.found is None:
        return ""
    before = f", at evaluation {quality.shown(quality.promised)}" if quality.promised is not None else ""
    return f"{quality.name} {quality.shown(quality.found)}{before}"


def summarise(assessment: DriftReport) -> str:
    """One line for a log or a table."""
    quality = assessment.quality
    parts = [f"{assessment.verdict.words}: {assessment.reason}"]
    if quality.found is not None and assessment.verdict is not Verdict.QUALITY_LOSS:
        before = f" ({quality.shown(quality.promised)} at evaluation)" if quality.promised is not None else ""
        parts.append(f"{quality.name} {quality.shown(quality.found)}{before}")
    earned = assessment.money.value - assessment.money.baseline_value
    if assessment.money.labelled and assessment.features:
        parts.append(f"{money(earned, assessment.money.currency, signed=True)} against the baseline")
    return "; ".join(parts)
