"""Gates of a use case held against an evaluation, with a summary in one line.

How each condition is judged is `noria.core.lifecycle.gate_conditions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from noria.core.base.formatting import money, rounded
from noria.core.base.interval import Interval
from noria.core.lifecycle.evaluation import EvaluationReport, GateResult
from noria.core.lifecycle.gate_conditions import MONEY, check_condition, evidence_of
from noria.core.metrics.task_profile import profile_of
from noria.core.model.value import DAYS_PER_MONTH
from noria.core.use_case import Gate, GateMode, UseCase
from noria.core.use_case.metric_catalog import definition, figure

SUMMARY_LENGTH = 290
_SMALL_CHANGE = 0.5


def check_gates(gates: Sequence[Gate], report: EvaluationReport) -> tuple[GateResult, ...]:
    """One result per gate that is not off, in the order they are written."""
    return tuple(_result(gate, report) for gate in gates if gate.mode is not GateMode.OFF)


def summarise(use_case: UseCase, report: EvaluationReport, gates: Sequence[GateResult]) -> str:
    """One line of under 300 characters: quality and money against the baseline, and each failed gate with its figure.

    Failed gates that stop a promotion come before those in dry run.
    """
    currency = use_case.business.currency
    failed = sorted((gate for gate in gates if not gate.passed), key=lambda gate: not gate.stops)
    parts = [_quality(report), _money(report, currency), *(tell(gate, report, currency) for gate in failed)]
    return _shorten("; ".join(part for part in parts if part))


def tell(gate: GateResult, report: EvaluationReport, currency: str) -> str:
    """A gate's result in words: its condition, the figure, and the cost of promoting all the same.

    "FAILED: value better than the champion, found EUR 3,900 against 4,010 per 1,000 of version 3 (−110, 95 % −260 to
    +41): promoting would cost about EUR 1,300 a month".
    """
    word = "passed" if gate.passed else "FAILED" if gate.stops else "failed, dry run"
    unit = f"{currency} " if gate.metric == MONEY else ""
    return f"{word}: {gate.condition}, found {unit}{gate.found}{_price(gate, report, currency)}"


def monthly(per_1000: float, report: EvaluationReport) -> float | None:
    """Money a month of money per 1,000 decisions, at the volume of labelled rows that the report has; None without any."""
    days = Interval.parse(report.start, report.end).days
    return per_1000 * report.rows / 1000 * DAYS_PER_MONTH / days if report.rows else None


def _result(gate: Gate, report: EvaluationReport) -> GateResult:
    found = check_condition(gate, report)
    return GateResult(
        condition=gate.condition,
        found=found.words,
        passed=found.passed,
        mode=gate.mode,
        metric=gate.metric,
        low=found.low,
        high=found.high,
        cost=found.cost,
        evidence=evidence_of(gate),
    )


def _price(gate: GateResult, report: EvaluationReport, currency: str) -> str:
    cost = monthly(gate.cost, report) if gate.cost else None
    return f": promoting would cost about {money(rounded(cost), currency)} a month" if cost and cost >= _SMALL_CHANGE else ""


def _quality(report: EvaluationReport) -> str:
    rule = _rule(report)
    profile = profile_of(report.task)
    names = [name for name in (profile.headline, profile.search_metric) if name in report.metrics]
    return ", ".join(f"{definition(name).title} {_beside(name, report.metrics[name], rule)}" for name in names)


def _money(report: EvaluationReport, currency: str) -> str:
    return f"{currency} {_beside(MONEY, report.metrics.get(MONEY), _rule(report), ' per 1,000 decisions')}"


def _beside(metric: str, value: float | None, rule: Mapping[str, float], unit: str = "") -> str:
    """A figure, and the baseline's in brackets."""
    theirs = f" (baseline {figure(metric, rule[metric])})" if metric in rule else ""
    return f"{figure(metric, value)}{unit}{theirs}"


def _rule(report: EvaluationReport) -> Mapping[str, float]:
    baseline = report.reference("baseline")
    return baseline.metrics if baseline else {}


def _shorten(text: str) -> str:
    return text if len(text) <= SUMMARY_LENGTH else f"{text[: SUMMARY_LENGTH - 1]}…"
