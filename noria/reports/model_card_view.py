"""Content of the card's page, computed beforehand, so that its template only lays it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from noria.core.base.formatting import day, interval, money, number
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.check_line import CheckState
from noria.core.lifecycle.evaluation import MONTH, EvaluationReport, GateResult, SegmentMetrics, ValueLine
from noria.core.lifecycle.gate_conditions import MONEY
from noria.core.lifecycle.gates import tell
from noria.core.model.signature import Field, Kind
from noria.core.use_case import ConfusionValue, Risk, UnitValue, UseCase, Value
from noria.core.use_case.metric_catalog import figure
from noria.reports.formatting import bounds, metric_title
from noria.reports.model_card import HistoryLine, ModelCard

_WHO = {
    "candidate": "this model",
    "champion": "the model that served",
    "baseline": "the baseline",
    "nothing": "doing nothing",
    "perfect": "perfect foresight",
}
_LEAST_WORTH = 6
"""Segments shown on the card; the evaluation page has all."""


@dataclass(frozen=True)
class MoneyBar:
    """One line of the money chart; places are percentages of the chart's width."""

    name: str
    words: str
    left: float
    width: float
    low: float
    span: float
    ours: bool


@dataclass(frozen=True)
class CardMetricRow:
    """One metric of this model, of the baseline and of the model that served."""

    name: str
    ours: str
    interval: str
    rule: str
    champion: str


@dataclass(frozen=True)
class RiskRow:
    """A risk with what watches over it."""

    risk: Risk
    watched: tuple[GateResult, ...]


@dataclass(frozen=True)
class CardView:
    """The page's own facts; everything else it reads from the card."""

    name: str
    stage: str
    headline: str
    serves: bool
    ready: int
    bars: tuple[MoneyBar, ...]
    payoffs: tuple[tuple[str, str], ...]
    metrics: tuple[CardMetricRow, ...]
    gate_lines: tuple[tuple[GateResult, str], ...]
    worst: tuple[SegmentMetrics, ...]
    months: tuple[SegmentMetrics, ...]
    limits: tuple[str, ...]
    seen: tuple[tuple[Field, str], ...]
    risks: tuple[RiskRow, ...]


def view_of(card: ModelCard) -> CardView:
    """Work out everything that the page shows."""
    report, currency = card.report, card.use_case.business.currency
    return CardView(
        name=f"version {card.version}" if card.version else f"candidate {card.bundle_digest[:12]}",
        stage=_stage(card),
        headline=_headline(report, currency),
        serves=_serves(card),
        ready=sum(line.state is CheckState.YES for line in card.checklist),
        bars=_bars(_lines(report), currency),
        payoffs=tuple(_payoffs(card.use_case.business.value, currency)),
        metrics=tuple(_metric_rows(report)),
        gate_lines=tuple((gate, tell(gate, report, currency).partition(", found ")[2]) for gate in card.gates),
        worst=_worst(report.segments),
        months=tuple(part for part in report.segments if part.segment == MONTH),
        limits=tuple(_limits(card.use_case, report)),
        seen=tuple((field, _seen(field)) for field in card.signature.fields),
        risks=tuple(RiskRow(risk, _watching(risk, card.gates)) for risk in card.use_case.risks),
    )


def _stage(card: ModelCard) -> str:
    last = _last_move(card)
    if last is None:
        stopped = any(gate.stops for gate in card.gates)
        return "not promoted: a gate failed" if stopped else "not promoted"
    if last.version == card.version:
        return f"champion since {day(last.at)}"
    return f"was champion until {day(last.at)}, when version {last.version} took its place"


def _serves(card: ModelCard) -> bool:
    last = _last_move(card)
    return last is not None and last.version == card.version


def _last_move(card: ModelCard) -> HistoryLine | None:
    moves = [line for line in card.history if line.action in (Action.PROMOTED, Action.ROLLED_BACK, Action.FOUND_MOVED)]
    return moves[-1] if moves else None


def _headline(report: EvaluationReport, currency: str) -> str:
    rule = report.reference("baseline")
    ours, theirs = report.metrics.get(MONEY), rule.metrics.get(MONEY) if rule else None
    if ours is None:
        return "Its money could not be measured"
    if theirs is None:
        return f"{money(ours, currency)} per 1,000 decisions"
    more = "more" if ours >= theirs else "less"
    return f"{money(abs(ours - theirs), currency)} {more} per 1,000 decisions than the baseline"


def _lines(report: EvaluationReport) -> tuple[ValueLine, ...]:
    """While the baseline serves, it is one line and not two."""
    champion = report.reference("champion")
    rule_serves = champion is not None and champion.version == "0"
    return tuple(line for line in report.values if not (rule_serves and line.name == "champion"))


def _bars(values: Sequence[ValueLine], currency: str) -> tuple[MoneyBar, ...]:
    if not values:
        return ()
    ends = [0.0, *(end for line in values for end in (line.per_1000.low, line.per_1000.high, line.per_1000.value))]
    least, most = min(ends), max(ends)
    scale = 100 / (most - least) if most > least else 0.0

    def place(money: float) -> float:
        return round((money - least) * scale, 2)

    bars = []
    for line in values:
        value, low, high = line.per_1000.value, line.per_1000.low, line.per_1000.high
        bars.append(
            MoneyBar(
                name=_WHO.get(line.name, line.name),
                words=f"{money(value, currency)} ({interval(low, high, money)})",
                left=place(min(0.0, value)),
                width=round(place(max(0.0, value)) - place(min(0.0, value)), 2),
                low=place(low),
                span=round(place(high) - place(low), 2),
                ours=line.name == "candidate",
            )
        )
    return tuple(bars)


def _payoffs(value: Value, currency: str) -> list[tuple[str, str]]:
    if isinstance(value, ConfusionValue):
        found = {
            "we act, and it happens": value.true_positive,
            "we act, and it does not happen": value.false_positive,
            "we do nothing, and it happens": value.false_negative,
            "we do nothing, and it does not happen": value.true_negative,
        }
    elif isinstance(value, UnitValue):
        found = {"each unit predicted too high": value.over, "each unit predicted too low": value.under}
    else:
        found = {
            f"we decide {decided}, and it is {actual}": stated
            for decided, row in value.items()
            for actual, stated in row.items()
        }
    return [(words, f"{currency} {number(stated, digits=10)}") for words, stated in found.items()]


def _metric_rows(report: EvaluationReport) -> list[CardMetricRow]:
    champion, rule = report.reference("champion"), report.reference("baseline")
    rows = []
    for name, found in report.metrics.items():
        rows.append(
            CardMetricRow(
                name=metric_title(name),
                ours=figure(name, found),
                interval=bounds(name, report.intervals.get(name)),
                rule=_figure(name, rule.metrics if rule else {}),
                champion=_figure(name, champion.metrics if champion and champion.version != "0" else {}),
            )
        )
    return rows


def _figure(name: str, metrics: Mapping[str, float]) -> str:
    return figure(name, metrics[name]) if name in metrics else ""


def _worst(parts: Sequence[SegmentMetrics]) -> tuple[SegmentMetrics, ...]:
    judged = [part for part in parts if part.segment != MONTH and part.judged and MONEY in part.metrics]
    return tuple(sorted(judged, key=lambda part: part.metrics[MONEY])[:_LEAST_WORTH])


def _limits(use_case: UseCase, report: EvaluationReport) -> list[str]:
    months = [part for part in report.segments if part.segment == MONTH]
    limits = [
        f"It was judged on {report.rows:,} rows of {day(report.start)} to {day(report.end)} "
        f"({len(months) or 'no'} month{'s' if len(months) != 1 else ''}). Other seasons were not judged."
    ]
    small = [part for part in report.segments if part.segment != MONTH and not part.judged]
    if small:
        names = ", ".join(f"{part.segment} {part.value} ({part.rows:,} rows)" for part in small[:8])
        more = f" and {len(small) - 8} more" if len(small) > 8 else ""
        limits.append(f"Too few rows to judge: {names}{more}.")
    limits.append(
        "A value outside the ranges below, or a category that training never saw, gets an answer that nothing vouches for."
    )
    limits += [f"{suspect.feature} may know the answer: {suspect.reason}." for suspect in report.suspects]
    if not use_case.protected:
        limits.append("No feature is declared as protected, so groups of people were not held against each other.")
    return [*limits, report.note] if report.note else limits


def _seen(field: Field) -> str:
    if field.kind is Kind.NUMERIC:
        if field.minimum is None or field.maximum is None:
            return "any number"
        return interval(field.minimum, field.maximum, partial(number, digits=6))
    shown = ", ".join(field.categories[:12])
    return f"{shown} and {len(field.categories) - 12} more" if len(field.categories) > 12 else shown or "any text"


def _watching(risk: Risk, gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    return tuple(gate for gate in gates if risk.gate is not None and gate.metric == risk.gate)
