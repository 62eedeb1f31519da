"""Conditions of a gate held against an evaluation, one function for each kind.

A gate that cannot be judged fails. What is measured on few rows is chance in part, so a comparison with the baseline or with
the serving model must be surer than chance. `better_than` and `not_worse_than` are one-sided tests at the `confidence` that
is asked for, against no difference and against the margin (a non-inferiority test: Piaggio et al., "Reporting of
Noninferiority and Equivalence Randomized Trials", JAMA 2012). The worst of many segments is bad by chance alone, so a
segment fails the gate if it is surely beyond the bound, with the error divided among the segments (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from noria.core.base import formatting
from noria.core.lifecycle.evaluation import (
    MONTH,
    Difference,
    Estimate,
    EvaluationReport,
    Fairness,
    ReferenceResult,
    SegmentMetrics,
)
from noria.core.metrics.direction import LOWER_IS_BETTER, better, goodness
from noria.core.stats.jackknife import MeasuredFigure
from noria.core.stats.student_t import quantile
from noria.core.use_case import Gate
from noria.core.use_case.metric_catalog import figure, gap

FAIRNESS = ("demographic_parity", "equalised_odds", "disparate_impact")
MONEY = "value"
_MOST_LEFT_OUT = 0.05
"""Share of rows that a gate's metric may leave out."""
_FREEDOM = 29.0
"""Degrees of freedom of intervals in reports of earlier releases, which do not say them."""


@dataclass(frozen=True)
class ConditionResult:
    """The figure that was found, and whether the condition holds.

    Attributes:
        passed: whether it does.
        words: what was found, for people.
        low: lower bound of what was found, or of the difference that was asked about; None where it was not measured.
        high: upper bound of the same.
        cost: money per 1,000 decisions that promoting would lose because of the failed gate; None if it has no price.
    """

    passed: bool
    words: str
    low: float | None = None
    high: float | None = None
    cost: float | None = None


def check_condition(gate: Gate, report: EvaluationReport) -> ConditionResult:
    """Hold a gate's one condition against the report."""
    for condition, bound in gate.conditions.items():
        found = _with_rows_left_out(gate, report, _CHECKS[condition](gate, bound, report))
        return found if not found.passed else replace(found, cost=None)
    return ConditionResult(False, "the gate has no condition")


def _with_rows_left_out(gate: Gate, report: EvaluationReport, found: ConditionResult) -> ConditionResult:
    """Say how many rows the metric cannot use; with many of them it speaks of others than those that are decided on."""
    rows = report.left_out.get(gate.metric, 0)
    if not rows:
        return found
    share = rows / report.rows
    words = f"{found.words}; {rows:,} of {report.rows:,} rows are left out, whose label is 0"
    if share <= _MOST_LEFT_OUT:
        return replace(found, words=words)
    return replace(found, passed=False, words=f"{words}: too many, take a metric such as wape")


def evidence_of(gate: Gate) -> str:
    """The place in the evaluation page that shows what a gate was judged on."""
    condition = next(iter(gate.conditions), "")
    if condition.startswith("worst_segment"):
        return "#segments"
    if condition.startswith("worst_month"):
        return "#months"
    if gate.metric in FAIRNESS:
        return "#fairness"
    return {MONEY: "#value", "calibration_error": "#calibration"}.get(gate.metric, "#quality")


def _bounded(gate: Gate, bound: float | str, report: EvaluationReport) -> ConditionResult:
    if gate.metric in FAIRNESS and report.fairness:
        return _fairness(gate, float(bound), report.fairness)
    found = report.metrics.get(gate.metric, math.nan)
    if math.isnan(found):
        return ConditionResult(False, f"no {gate.metric}: the evaluation slice cannot give it")
    interval = report.intervals.get(gate.metric)
    words = _shown(gate.metric, found, interval)
    cost = _shortfall(gate, found, float(bound)) if gate.metric == MONEY else None
    return _between(ConditionResult(_holds(gate, found, float(bound)), words, cost=cost), interval)


def _fairness(gate: Gate, bound: float, fairness: Sequence[Fairness]) -> ConditionResult:
    figures = {part.attribute: getattr(part, gate.metric) for part in fairness}
    found = {attribute: math.nan if figure is None else float(figure) for attribute, figure in figures.items()}
    attribute, worst = _worst(found, lowest=gate.metric not in LOWER_IS_BETTER)
    interval = next(part.intervals.get(gate.metric) for part in fairness if part.attribute == attribute)
    return _between(
        ConditionResult(
            _holds(gate, worst, bound), f"{_shown(gate.metric, worst)} over {attribute}{_bounds(gate.metric, interval)}"
        ),
        interval,
    )


def _better(gate: Gate, rival_name: float | str, report: EvaluationReport) -> ConditionResult:
    compared = _compare(gate, str(rival_name), report)
    if isinstance(compared, ConditionResult):
        return compared
    if compared.difference is None:
        return _untold(compared, report)
    passed = compared.difference.p_not_better <= 1 - gate.confidence
    words = compared.words
    if not passed and better(gate.metric, compared.ours, compared.theirs):
        words += f", which may be chance: p = {formatting.number(compared.difference.p_not_better, 2)}"
    return _between(ConditionResult(passed, words, cost=compared.cost), compared.difference)


def _not_worse(gate: Gate, rival_name: float | str, report: EvaluationReport) -> ConditionResult:
    compared = _compare(gate, str(rival_name), report)
    if isinstance(compared, ConditionResult):
        return compared
    if compared.difference is None:
        return _untold(compared, report)
    gain = _figure(compared.difference, goodness(gate.metric, 1.0) * compared.difference.value)
    passed = gain.p_below(-gate.margin) <= 1 - gate.confidence
    words = compared.words
    if not passed and gain.value >= -gate.margin:
        words += f", which may be worse by more than the margin: p = {formatting.number(gain.p_below(-gate.margin), 2)}"
    return _between(ConditionResult(passed, words, cost=compared.cost), compared.difference)


def _untold(compared: _Compared, report: EvaluationReport) -> ConditionResult:
    """Less evidence must not pass where more is asked for."""
    why = f"how sure that is cannot be known from so few {report.resampled or 'rows'} with every outcome"
    return ConditionResult(False, f"{compared.words}; {why}", cost=compared.cost)


def _segments(gate: Gate, bound: float | str, report: EvaluationReport) -> ConditionResult:
    return _worst_part(
        gate, float(bound), [part for part in report.segments if part.segment != MONTH], report.rows, "segment"
    )


def _months(gate: Gate, bound: float | str, report: EvaluationReport) -> ConditionResult:
    return _worst_part(gate, float(bound), [part for part in report.segments if part.segment == MONTH], report.rows, "month")


_CHECKS: dict[str, Callable[[Gate, float | str, EvaluationReport], ConditionResult]] = {
    "at_least": _bounded,
    "at_most": _bounded,
    "better_than": _better,
    "not_worse_than": _not_worse,
    "worst_segment_at_least": _segments,
    "worst_segment_at_most": _segments,
    "worst_month_at_least": _months,
    "worst_month_at_most": _months,
}


def _worst_part(gate: Gate, bound: float, parts: Sequence[SegmentMetrics], rows: int, kind: str) -> ConditionResult:
    judged = {f"{part.segment} {part.value}": part for part in parts if part.judged}
    small = len(parts) - len(judged)
    if not judged:
        return ConditionResult(False, f"no {kind} has enough rows of every outcome to judge")
    found = {place: part.metrics.get(gate.metric, math.nan) for place, part in judged.items()}
    alpha = (1 - gate.confidence) / len(judged)
    beyond = {place: figure for place, figure in found.items() if _surely_beyond(gate, bound, figure, judged[place], alpha)}
    place, worst = _worst(beyond or found, lowest=_wants_at_least(gate))
    interval = judged[place].intervals.get(gate.metric)
    words = f"{_shown(gate.metric, worst, interval)} in {judged[place].value if kind == 'month' else place}"
    if not beyond and not _holds(gate, worst, bound):
        words += f", which may be chance: it is the worst of {len(judged)}"
    words += f" ({small} small one{'s' if small > 1 else ''} not judged)" if small else ""
    missing = _shortfall(gate, worst, bound) if gate.metric == MONEY else None
    share = judged[place].rows / rows if rows else 0.0  # what it costs over all decisions, not over those of the part
    return _between(ConditionResult(not beyond, words, cost=None if missing is None else missing * share), interval)


def _surely_beyond(gate: Gate, bound: float, figure: float, part: SegmentMetrics, alpha: float) -> bool:
    """Whether a part misses the bound by more than chance; a figure without an interval is taken as it stands."""
    if _holds(gate, figure, bound):
        return False
    interval = part.intervals.get(gate.metric)
    if interval is None:
        return True
    sign = 1.0 if _wants_at_least(gate) else -1.0
    return _figure(interval, -sign * interval.value).p_below(-sign * bound) <= alpha


@dataclass(frozen=True)
class _Compared:
    """A candidate and a reference model on the same rows."""

    ours: float
    theirs: float
    difference: Difference | None
    words: str
    cost: float | None


def _compare(gate: Gate, name: str, report: EvaluationReport) -> _Compared | ConditionResult:
    ours, reference = report.metrics.get(gate.metric, math.nan), report.reference(name)
    if reference is not None and reference.candidate:
        ours = reference.candidate.get(gate.metric, math.nan)
    if math.isnan(ours):
        return ConditionResult(False, f"no {gate.metric}: the evaluation slice cannot give it")
    theirs = reference.metrics.get(gate.metric, math.nan) if reference else math.nan
    if reference is None or math.isnan(theirs):
        why = f"the {name} was not measured" if reference is None or not reference.note else reference.note
        return ConditionResult(False, f"{_shown(gate.metric, ours)}, but {why}")
    difference = _difference(gate.metric, reference, report)
    who = (
        "" if name == "baseline" else " of the baseline" if reference.version == "0" else f" of version {reference.version}"
    )
    per = " per 1,000" if gate.metric == MONEY else ""
    words = f"{_shown(gate.metric, ours)} against {_shown(gate.metric, theirs)}{per}{who}{_gap(gate.metric, difference)}"
    words += f" on the {reference.rows:,} rows that it has not seen" if reference.candidate else ""
    return _Compared(ours, theirs, difference, words, _loss(reference, report))


def _difference(metric: str, reference: ReferenceResult, report: EvaluationReport) -> Difference | None:
    """The paired difference; while the baseline serves, the one against the baseline is the same."""
    rule = report.reference("baseline")
    same = rule.differences.get(metric) if rule and reference.version == "0" else None
    return reference.differences.get(metric) or same


def _loss(reference: ReferenceResult, report: EvaluationReport) -> float | None:
    """Money per 1,000 decisions that the reference model earns more; 0 where they are not."""
    difference = _difference(MONEY, reference, report)
    if difference is not None and math.isfinite(difference.value):
        return max(0.0, -difference.value)
    gap = reference.metrics.get(MONEY, math.nan) - report.metrics.get(MONEY, math.nan)
    return max(0.0, gap) if math.isfinite(gap) else None


def _figure(measured: Estimate | Difference, value: float) -> MeasuredFigure:
    """A figure, perhaps turned round, with the standard error that was measured; of an earlier release, from its bounds."""
    if measured.error is None or measured.freedom is None:
        return MeasuredFigure(value, (measured.high - measured.low) / (2 * quantile(0.975, _FREEDOM)), _FREEDOM)
    return MeasuredFigure(value, measured.error, measured.freedom)


def _wants_at_least(gate: Gate) -> bool:
    return next(iter(gate.conditions)).endswith("at_least")


def _holds(gate: Gate, found: float, bound: float) -> bool:
    return found >= bound if _wants_at_least(gate) else found <= bound


def _shortfall(gate: Gate, found: float, bound: float) -> float | None:
    gap = bound - found if _wants_at_least(gate) else found - bound
    return max(0.0, gap) if math.isfinite(gap) else None


def _worst(found: dict[str, float], *, lowest: bool) -> tuple[str, float]:
    """Name and figure of the worst; what is not known is worse than anything."""
    unknown = -math.inf if lowest else math.inf
    known = {name: unknown if math.isnan(figure) else figure for name, figure in found.items()}
    name = min(known, key=known.__getitem__) if lowest else max(known, key=known.__getitem__)
    return name, found[name]


def _between(found: ConditionResult, interval: Estimate | Difference | None) -> ConditionResult:
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return found
    return replace(found, low=interval.low, high=interval.high)


def _shown(metric: str, value: float, interval: Estimate | None = None) -> str:
    """A figure with its interval, if it has one."""
    return (figure(metric, value) if math.isfinite(value) else "nothing") + _bounds(metric, interval)


def _bounds(metric: str, interval: Estimate | None) -> str:
    bounds = formatting.interval(interval.low, interval.high, partial(figure, metric)) if interval else ""
    return f" (95 % {bounds})" if bounds else ""


def _gap(metric: str, difference: Difference | None) -> str:
    if difference is None or not math.isfinite(difference.value):
        return ""
    shown = partial(gap, metric)
    bounds = formatting.interval(difference.low, difference.high, shown)
    return f" ({shown(difference.value)}{f', 95 % {bounds}' if bounds else ''})"
