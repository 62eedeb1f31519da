"""Words of the e-mail; its layout is in the templates under `email/`."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.email.business_value import Figure, money_figures, rule_in_a_headline, worth_in_a_sentence
from monitoring.email.quality_table import QualityLine, quality_lines
from monitoring.email.wording import period, quality_in_words
from noria.core.base.formatting import day, display_name, money
from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import DriftReport, SegmentFinding
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import RetrainDecision
from noria.core.metrics.task_profile import profile_of
from noria.core.stats.drift import FeatureDrift
from noria.core.use_case import Task, UseCase
from noria.settings import Settings

_TOP = 6
_COLOURS = {
    Verdict.STABLE: "#1a7f4b",
    Verdict.DRIFT: "#b35900",
    Verdict.QUALITY_LOSS: "#b42318",
    Verdict.TOO_FEW_ROWS: "#51606f",
}


@dataclass(frozen=True)
class Moved:
    """One line of what moved most."""

    name: str
    explanation: str
    distance: str
    drifted: bool
    width: int
    """Length of its bar, 1 to 100."""


@dataclass(frozen=True)
class Link:
    """Somewhere to look."""

    name: str
    url: str


@dataclass(frozen=True)
class ReportEmail:
    """Everything the templates lay out."""

    subject: str
    name: str
    title: str
    period: str
    verdict: str
    colour: str
    reason: str
    version: str
    cost: str
    """What it may cost: money against the baseline, and against the model's own evaluation."""
    figures: tuple[Figure, ...]
    moved: tuple[Moved, ...]
    more_moved: int
    also_moved: tuple[Moved, ...]
    """The predictions and the label."""
    qualities: tuple[QualityLine, ...]
    segments: tuple[str, ...]
    next: str
    links: tuple[Link, ...]
    report: str
    """Where the full report is; empty where there is none."""
    footer: str


def report_email(
    use_case: UseCase, assessment: DriftReport, decision: RetrainDecision, settings: Settings, report: str
) -> ReportEmail:
    """Put an assessment into words.

    Args:
        use_case: whose it is.
        assessment: what was found.
        decision: whether training is asked for.
        settings: addresses for links.
        report: where the full report is, in words.
    """
    interval = Interval(assessment.start, assessment.end)
    longest = max((feature.distance for feature in assessment.features[:_TOP]), default=0.0)
    also = [drift for drift in (assessment.prediction, assessment.label) if drift]
    return ReportEmail(
        subject=_subject(use_case, assessment, interval),
        name=display_name(use_case.name),
        title=use_case.title,
        period=period(interval),
        verdict=assessment.verdict.words,
        colour=_COLOURS[assessment.verdict],
        reason=_sentence(assessment.reason),
        version=_version(assessment),
        cost=worth_in_a_sentence(assessment),
        figures=money_figures(assessment),
        moved=tuple(_moved(feature, longest) for feature in assessment.features[:_TOP]),
        more_moved=max(len(assessment.drifted) - _TOP, 0),
        also_moved=tuple(_moved(drift, max(longest, drift.distance)) for drift in also),
        qualities=quality_lines(assessment),
        segments=tuple(_segment(found, assessment.task, assessment.money.currency) for found in assessment.segments),
        next=_next(assessment, decision),
        links=_links(use_case, settings),
        report=report,
        footer=f"You get this because monitoring.email in use_cases/{use_case.name}/use_case.yaml names you.",
    )


def _subject(use_case: UseCase, assessment: DriftReport, interval: Interval) -> str:
    where = f"[{assessment.verdict.words}] {display_name(use_case.name)}, {period(interval)}"
    return f"{where}: {_headline(assessment)}"


def _headline(assessment: DriftReport) -> str:
    """The one fact of the subject."""
    match assessment.verdict:
        case Verdict.QUALITY_LOSS:
            return quality_in_words(assessment.quality)
        case Verdict.TOO_FEW_ROWS:
            return f"{assessment.rows:,} predictions"
        case Verdict.DRIFT:
            return f"{assessment.features[0].name}, {assessment.features[0].explanation}"
    if assessment.money.labelled == 0:
        return "no labels yet"
    if not assessment.features:
        return rule_in_a_headline(assessment)
    return f"{money(assessment.money.gain, assessment.money.currency, signed=True)} against the baseline"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _version(assessment: DriftReport) -> str:
    if not assessment.reference_rows:
        return "the baseline, today's rule"
    return f"version {assessment.version}, against {assessment.reference_rows:,} rows of its own evaluation"


def _moved(drift: FeatureDrift, longest: float) -> Moved:
    width = max(round(100 * drift.distance / longest), 1) if longest else 1
    return Moved(drift.name, drift.explanation, f"{drift.distance:.2f}", drift.drifted, width)


def _segment(found: SegmentFinding, task: Task, currency: str) -> str:
    parts = [f"{found.rows:,} rows"]
    if found.found is not None:
        parts.append(quality_in_words(found.quality))
    if found.gain_per_1000 is not None:
        parts.append(f"{money(found.gain_per_1000, currency, signed=True)} per 1,000 against the baseline")
    if found.distance is not None:
        parts.append(f"{profile_of(task).outcomes} moved by {found.distance:.2f}")
    return f"{found.segment} {found.value}: {'; '.join(parts)}"


def _next(assessment: DriftReport, decision: RetrainDecision) -> str:
    if decision.as_of is not None:
        return (
            f"Training is asked for as of {day(decision.as_of)}: {decision.reason}. "
            "The new model serves only if every gate of the use case passes."
        )
    if assessment.verdict.is_alarm:
        return f"No training for now: {decision.reason}. The model goes on serving."
    return "Nothing to do. Planned training goes on as scheduled."


def _links(use_case: UseCase, settings: Settings) -> tuple[Link, ...]:
    airflow, serving = settings.airflow_url.rstrip("/"), settings.serving_url.rstrip("/")
    return (
        Link("Monitoring runs", f"{airflow}/dags/{use_case.name}__monitor"),
        Link("Training runs", f"{airflow}/dags/{use_case.name}__train"),
        Link("What serves now", f"{serving}/v1/{use_case.name}"),
    )
