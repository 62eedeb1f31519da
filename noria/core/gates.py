"""Holds a use case's promises against what was found. A promise that cannot be judged is not kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from noria.core.evaluation import EvaluationReport, GateResult, SegmentMetrics
from noria.core.metrics import better
from noria.core.use_case import Gate, GateMode, UseCase

SUMMARY_LENGTH = 290


@dataclass(frozen=True)
class _Verdict:
    passed: bool
    found: str


def check_gates(gates: Sequence[Gate], report: EvaluationReport) -> tuple[GateResult, ...]:
    """One result per gate that is not off, in the order they are written."""
    judged = ((gate, _judge(gate, report)) for gate in gates if gate.mode is not GateMode.OFF)
    return tuple(
        GateResult(promise=gate.promise, found=verdict.found, passed=verdict.passed, mode=gate.mode)
        for gate, verdict in judged
    )


def summarise(use_case: UseCase, report: EvaluationReport, gates: Sequence[GateResult]) -> str:
    """One line of under 300 characters: quality and money against the rule, and each broken promise with what was found."""
    baseline = report.rival("baseline")
    rule = baseline.metrics if baseline else {}
    quality = [
        f"{name} {report.metrics[name]:.3f} (rule {rule.get(name, math.nan):.3f})"
        for name in ("roc_auc", "average_precision")
        if name in report.metrics
    ]
    money = f"{use_case.business.currency} {report.metrics.get('value', math.nan):,.0f} per 1,000 decisions"
    money += f" (rule {rule.get('value', math.nan):,.0f})"
    broken = [_broken(gate) for gate in gates if not gate.passed]
    return _shorten("; ".join([", ".join(quality), money, *broken]) if quality else "; ".join([money, *broken]))


def _broken(gate: GateResult) -> str:
    word = "BROKEN" if gate.stops else "broken, dry run"
    return f"{word}: {gate.promise}, found {gate.found}"


def _shorten(text: str) -> str:
    return text if len(text) <= SUMMARY_LENGTH else f"{text[: SUMMARY_LENGTH - 1]}…"


def _judge(gate: Gate, report: EvaluationReport) -> _Verdict:
    if gate.worst_segment_at_least is not None:
        return _judge_segments(gate.metric, gate.worst_segment_at_least, report.segments)
    found = report.metrics.get(gate.metric, math.nan)
    if math.isnan(found):
        return _Verdict(False, f"no {gate.metric}: the evaluation slice cannot give it")
    if gate.better_than is not None:
        return _judge_rival(gate.metric, found, gate.better_than, report)
    if gate.at_least is not None:
        return _Verdict(found >= gate.at_least, _number(found))
    if gate.at_most is not None:
        return _Verdict(found <= gate.at_most, _number(found))
    return _Verdict(False, "the gate has no condition")


def _judge_rival(metric: str, found: float, name: str, report: EvaluationReport) -> _Verdict:
    rival = report.rival(name)
    theirs = rival.metrics.get(metric, math.nan) if rival else math.nan
    if rival is None or math.isnan(theirs):
        return _Verdict(False, f"{_number(found)}, but the {name} was not measured")
    label = name if name == "baseline" else f"{name}, version {rival.version}"
    return _Verdict(better(metric, found, theirs), f"{_number(found)} ({label}: {_number(theirs)})")


def _judge_segments(metric: str, bound: float, segments: Sequence[SegmentMetrics]) -> _Verdict:
    judged = [part for part in segments if part.judged]
    if not judged:
        return _Verdict(False, "no segment has enough rows of both classes to judge")
    worst = min(judged, key=lambda part: _or_lowest(part.metrics.get(metric, math.nan)))
    found = worst.metrics.get(metric, math.nan)
    return _Verdict(found >= bound, f"{_number(found)} in {worst.segment} {worst.value}")


def _or_lowest(metric: float) -> float:
    return -math.inf if math.isnan(metric) else metric


def _number(metric: float) -> str:
    if math.isnan(metric):
        return "nothing"
    return f"{metric:,.0f}" if abs(metric) >= 100 else f"{metric:.4g}"
