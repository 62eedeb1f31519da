"""Names, times and money as people write them."""

from __future__ import annotations

from datetime import timedelta

from monitoring.assessment.results import DriftReport
from noria.core.base.interval import Cadence, Interval
from noria.core.lifecycle.monitoring_verdict import QualityComparison, Verdict
from noria.core.stats.drift import number
from noria.core.use_case import UseCase

_MINUS = "−"


def display_name(use_case: UseCase) -> str:
    """`flight_delays` as `Flight delays`."""
    return use_case.name.replace("_", " ").capitalize()


def period(interval: Interval) -> str:
    """`May 2013`, `3 May 2013`, `3 May 2013 14:00`, or the first and last day."""
    start, last = interval.start, interval.end - timedelta(microseconds=1)
    if Cadence.MONTHLY.floor(start) == start and Cadence.MONTHLY.next(start) == interval.end:
        return f"{start:%B %Y}"
    if interval.end - start < timedelta(days=1):
        return f"{start.day} {start:%B %Y %H:%M}"
    if start.date() == last.date():
        return f"{start.day} {start:%B %Y}"
    return f"{start.day} {start:%B} to {last.day} {last:%B %Y}"


def money(amount: float, currency: str, *, signed: bool = False) -> str:
    """`1,234 EUR`, `−56 EUR`; with `signed` also `+1,234 EUR`."""
    digits = 0 if abs(amount) >= 100 else 2
    amount = round(amount, digits)
    if amount == 0:
        return f"0 {currency}"
    sign = _MINUS if amount < 0 else "+" if signed else ""
    return f"{sign}{abs(amount):,.{digits}f} {currency}"


def figure(value: float, *, signed: bool = False) -> str:
    """`56.3`, `−56.3`, `1,234`; with `signed` also `+56.3`. Three significant digits."""
    shown = number(abs(value))
    if not shown.strip("0."):
        return "0"
    sign = _MINUS if value < 0 else "+" if signed else ""
    return f"{sign}{shown}"


def quality_in_words(quality: QualityComparison, digits: int = 3) -> str:
    """`ROC AUC 0.681, promised 0.710`, `Error 26.0 %, promised 20.0 %`; without a promise where there was none."""
    if quality.found is None:
        return ""
    promised = f", promised {quality.shown(quality.promised, digits)}" if quality.promised is not None else ""
    return f"{quality.name} {quality.shown(quality.found, digits)}{promised}"


def summarise(assessment: DriftReport) -> str:
    """One line for a log or a table."""
    quality = assessment.quality
    parts = [f"{assessment.verdict.words}: {assessment.reason}"]
    if quality.found is not None and assessment.verdict is not Verdict.QUALITY_LOSS:
        before = f" ({quality.shown(quality.promised)} promised)" if quality.promised is not None else ""
        parts.append(f"{quality.name} {quality.shown(quality.found)}{before}")
    earned = assessment.money.value - assessment.money.baseline_value
    if assessment.money.labelled and assessment.features:
        parts.append(f"{money(earned, assessment.money.currency, signed=True)} against the rule")
    return "; ".join(parts)
