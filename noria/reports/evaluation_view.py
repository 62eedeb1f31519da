"""Content of the evaluation page, computed before any template sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from noria.core.base.formatting import interval, money
from noria.core.lifecycle.evaluation import (
    MONTH,
    Contribution,
    EvaluationReport,
    GateResult,
    ReferenceResult,
    SegmentMetrics,
    ValueLine,
)
from noria.core.metrics.task_profile import profile_of
from noria.core.use_case import Task, UseCase
from noria.core.use_case.metric_catalog import definition, figure
from noria.reports import plots
from noria.reports.formatting import LINE_NAMES, Lead, bounds, lead
from noria.reports.plots import Plot
from noria.reports.tables import ConfusionTable, PartTable, confusion_table, part_table

MOST_FEATURES = 15


@dataclass(frozen=True)
class EvaluationMetricRow:
    """A metric of everybody."""

    name: str
    meaning: str
    direction: str
    candidate: str
    interval: str
    rivals: tuple[str, ...]
    leads: tuple[Lead | None, ...]


@dataclass(frozen=True)
class EvaluationView:
    """Everything the template shows."""

    use_case: UseCase
    report: EvaluationReport
    gates: tuple[GateResult, ...]
    headline: str
    subline: str
    rivals: tuple[str, ...]
    value_lines: tuple[tuple[str, str, str], ...]
    quality: tuple[EvaluationMetricRow, ...]
    segments: tuple[PartTable, ...]
    months: PartTable | None
    confusion: ConfusionTable | None
    by_segment: tuple[tuple[str, str], ...]
    value_plots: tuple[Plot, ...]
    quality_plots: tuple[Plot, ...]
    calibration_plot: Plot | None
    importance_plot: Plot | None
    learning_plot: Plot | None
    contribution_unit: str


def view_of(report: EvaluationReport, use_case: UseCase, gates: Sequence[GateResult]) -> EvaluationView:
    """Work out what is shown."""
    rivals = _rivals(report)
    currency = use_case.business.currency
    months = tuple(part for part in report.segments if part.segment == MONTH)
    unit = profile_of(report.task).contribution_unit
    return EvaluationView(
        use_case=use_case,
        report=report,
        gates=tuple(gates),
        headline=_headline(report, currency),
        subline=_subline(report, currency),
        rivals=tuple(_reference_name(report, reference) for reference in rivals),
        value_lines=tuple(_value_lines(_lines(report), report, currency)),
        quality=tuple(_quality(report, rivals)),
        segments=tuple(_segment_tables(report, use_case)),
        months=_months(months, report.task, currency),
        confusion=confusion_table(report),
        by_segment=tuple(_by_segment(report.contributions)),
        value_plots=tuple(_value_plots(report, currency)),
        quality_plots=_quality_plots(report),
        calibration_plot=plots.calibration_plot(report.calibration, report.task) if report.calibration else None,
        importance_plot=_importance_plot(report, unit),
        learning_plot=_learning_plot(report),
        contribution_unit=unit,
    )


def _rivals(report: EvaluationReport) -> tuple[ReferenceResult, ...]:
    """The serving model, then the baseline; once where the baseline is what serves."""
    both = report.reference("champion"), report.reference("baseline")
    return tuple(reference for reference in both if reference and reference.metrics and not _is_rule(reference))


def _is_rule(reference: ReferenceResult) -> bool:
    return reference.name == "champion" and reference.version == "0"


def _rule_serves(report: EvaluationReport) -> bool:
    champion = report.reference("champion")
    return champion is not None and _is_rule(champion)


def _reference_name(report: EvaluationReport, reference: ReferenceResult) -> str:
    if reference.name == "champion":
        return f"{LINE_NAMES['champion']} (version {reference.version})"
    serving = ", which serves now" if _rule_serves(report) else ""
    return f"{LINE_NAMES['baseline']}{serving}"


def _lines(report: EvaluationReport) -> tuple[ValueLine, ...]:
    return tuple(line for line in report.values if line.name != "champion" or not _rule_serves(report))


def _headline(report: EvaluationReport, currency: str) -> str:
    worth = report.metrics.get("value")
    if worth is None:
        return "The value of the decisions is undefined"
    verb = "earn" if worth >= 0 else "cost"
    return f"The candidate's decisions {verb} {money(abs(worth), currency)} per 1,000"


def _subline(report: EvaluationReport, currency: str) -> str:
    reference = next(iter(_rivals(report)), None)
    difference = reference.differences.get("value") if reference else None
    if reference is None or difference is None:
        return "Nobody could be compared with it on the same rows."
    name = "the serving model" if reference.name == "champion" else "the baseline"
    word = "better" if difference.value >= 0 else "worse"
    span = f"95 % interval of the difference: {interval(difference.low, difference.high, money)}"
    chance = "; that may be chance" if difference.low <= 0 <= difference.high else ""
    return f"That is {money(abs(difference.value), currency)} {word} than {name} on the same rows ({span}){chance}."


def _value_lines(lines: Sequence[ValueLine], report: EvaluationReport, currency: str) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        name = LINE_NAMES[line.name] + (", which serves now" if line.name == "baseline" and _rule_serves(report) else "")
        yield name, money(line.per_1000.value, currency), interval(line.per_1000.low, line.per_1000.high, money)


def _quality(report: EvaluationReport, rivals: Sequence[ReferenceResult]) -> Iterator[EvaluationMetricRow]:
    for metric in sorted(report.metrics, key=lambda name: name != "value"):  # money first, the others as they are
        found = report.metrics[metric]
        yield EvaluationMetricRow(
            name=definition(metric).title,
            meaning=definition(metric).meaning,
            direction=definition(metric).direction,
            candidate=figure(metric, found),
            interval=bounds(metric, report.intervals.get(metric)),
            rivals=tuple(figure(metric, other.metrics[metric]) if metric in other.metrics else "" for other in rivals),
            leads=tuple(lead(metric, other.differences.get(metric)) for other in rivals),
        )


def _segment_tables(report: EvaluationReport, use_case: UseCase) -> Iterator[PartTable]:
    for segment in use_case.segments:
        parts = [part for part in report.segments if part.segment == segment]
        yield part_table(segment, sorted(parts, key=lambda part: -part.rows), report.task)


def _months(months: Sequence[SegmentMetrics], task: Task, currency: str) -> PartTable | None:
    if not months:
        return None
    table = part_table("month", months, task)
    if sum(month.judged for month in months) < 2:
        return table
    main = profile_of(task).headline
    lines = (
        plots.month_lines(months, "value", f"{currency} per 1,000"),
        plots.month_lines(months, main, definition(main).title),
    )
    return replace(table, plots=lines)


def _by_segment(contributions: Sequence[Contribution]) -> Iterator[tuple[str, str]]:
    """The three strongest features of every segment."""
    names: dict[str, list[str]] = {}
    for part in contributions:
        if part.segment:
            names.setdefault(part.segment, []).append(part.feature)
    yield from ((segment.replace("=", ": ", 1), ", ".join(features[:3])) for segment, features in names.items())


def _value_plots(report: EvaluationReport, currency: str) -> Iterator[Plot]:
    lines = _lines(report)
    if lines:
        yield plots.value_bars(lines, currency)
    if len(report.threshold_curve) > 1:
        chosen = report.threshold if report.task.is_binary else 0.0
        yield plots.money_curve(report.threshold_curve, chosen, report.task, currency)


def _quality_plots(report: EvaluationReport) -> tuple[Plot, ...]:
    return (plots.residual_plot(report.residuals), plots.error_histogram(report.residuals)) if report.residuals else ()


def _importance_plot(report: EvaluationReport, unit: str) -> Plot | None:
    overall = [(part.feature, part.importance) for part in report.contributions if not part.segment]
    return plots.importance_bars(overall[:MOST_FEATURES], unit) if overall else None


def _learning_plot(report: EvaluationReport) -> Plot | None:
    points = report.learning_curve
    return plots.learning_plot(points, report.search_metric) if len(points) > 1 else None
