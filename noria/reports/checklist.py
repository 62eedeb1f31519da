"""Checklist of what must be in place before a model decides: computed from facts, never ticked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from noria.core.base.formatting import day, money, number, plain_name
from noria.core.lifecycle.audit_event import Action, AuditEvent
from noria.core.lifecycle.check_line import ChecklistItem, CheckState
from noria.core.lifecycle.evaluation import MONTH, EvaluationReport, GateResult, SegmentMetrics
from noria.core.lifecycle.gate_conditions import MONEY
from noria.core.use_case import Approval, RiskSeverity, UseCase
from noria.core.use_case.metric_catalog import figure
from noria.reports.lineage import Lineage
from noria.reports.operations import Operations

REHEARSAL_HOLDS = timedelta(days=90)
"""How long a roll-back that was done, or rehearsed, counts."""
_FEWEST_PERIODS = 2
"""Months, or monitored intervals, fewer of which say nothing about stability in time."""


@dataclass(frozen=True)
class ChecklistFacts:
    """Facts that the checklist is computed from; None where a version has no such thing.

    Attributes:
        use_case: as it is written now.
        report: the version's evaluation.
        gates: results of the gates.
        lineage: where its training set came from.
        operations: what it has done since.
        events: the use case's audit trail.
        version: the version's number; empty before it is registered.
        now: from when a rehearsal's age is counted.
    """

    use_case: UseCase
    report: EvaluationReport | None
    gates: tuple[GateResult, ...]
    lineage: Lineage | None
    operations: Operations
    events: tuple[AuditEvent, ...]
    version: str
    now: datetime


def compute_checklist(facts: ChecklistFacts) -> tuple[ChecklistItem, ...]:
    """Every line, in the order in which a reader would ask."""
    checks = (_kpi, _gates, _data, _segments, _time, _approval, _rollback, _quality, _latency, _cost, _risks, _fairness)
    return tuple(check(facts) for check in checks)


def _kpi(facts: ChecklistFacts) -> ChecklistItem:
    what = "The KPI and the baseline are documented, and measured on the same rows"
    use_case = facts.use_case
    rule = facts.report.reference("baseline") if facts.report else None
    ours, theirs = (found.metrics.get(MONEY) if found else None for found in (facts.report, rule))
    if ours is None or theirs is None:
        return _no(
            what,
            f"baseline: {use_case.business.baseline}; not measured",
            "train again: the evaluation measures the baseline too",
        )
    compared = f"{money(ours, use_case.business.currency)} per 1,000 decisions, the baseline {money(theirs)}"
    return _yes(what, f"{use_case.business.decision}: {compared}")


def _gates(facts: ChecklistFacts) -> ChecklistItem:
    what = "Every enforced gate passed"
    enforced = [gate for gate in facts.gates if gate.stops or gate.passed]
    if not enforced:
        return _no(what, "no gate was judged", "write gates in use_case.yaml, and train again")
    broken = [gate for gate in facts.gates if gate.stops]
    if broken:
        return _no(
            what, "; ".join(f"{gate.condition}: found {gate.found}" for gate in broken), "a better model, or another gate"
        )
    return _yes(what, "; ".join(gate.condition for gate in enforced))


def _data(facts: ChecklistFacts) -> ChecklistItem:
    what = "Data are versioned, and traced back to raw data"
    if facts.lineage is None:
        return _no(what, "no lineage was kept", "train again: the card keeps it from then on")
    if unknown := facts.lineage.unknown:
        return _no(what, f"nothing is known of {', '.join(unknown)}", "run the data pipeline over the training data's time")
    rows = ", ".join(f"{source.name} {source.rows:,}" for source in facts.lineage.sources)
    return _yes(what, f"training set {facts.lineage.snapshot[:16]} of {facts.lineage.rows:,} rows, from raw rows of {rows}")


def _segments(facts: ChecklistFacts) -> ChecklistItem:
    what = "Results hold in every segment"
    parts = [part for part in facts.report.segments if part.segment != MONTH] if facts.report else []
    gates = _about(facts.gates, "segment")
    if not gates:
        example = "- {metric: value, worst_segment_at_least: 0}"
        to_do = f"add a gate such as `{example}`" if facts.use_case.segments else f"list `segments`, and add `{example}`"
        return _not_yet(what, _worst_known(parts), to_do)
    return _by_gates(what, gates, "judge the segments that break it, or leave the decision there to the baseline")


def _time(facts: ChecklistFacts) -> ChecklistItem:
    what = "Results hold over time"
    months = [part for part in facts.report.segments if part.segment == MONTH and part.judged] if facts.report else []
    verdicts = facts.operations.verdicts
    seen = f"{_counted(len(months), 'month')} judged, {_counted(facts.operations.judged, 'interval')} monitored since"
    if broken := [gate for gate in _about(facts.gates, "month") if not gate.passed]:
        return _by_gates(what, broken, "look at the month that breaks it, and train again")
    if lost := verdicts.get("quality_loss", 0):
        return _no(what, f"{seen}; {lost} lost quality", "train again, or roll back")
    if len(months) + facts.operations.judged < _FEWEST_PERIODS:
        return _not_yet(what, seen, "lengthen training.test_window, or let monitoring see a second interval")
    return _yes(what, f"{seen}; none lost quality")


def _approval(facts: ChecklistFacts) -> ChecklistItem:
    what = "Every approval that is needed was given"
    if facts.use_case.approval is Approval.AUTOMATIC:
        return _yes(what, "approval: automatic, the gates decide")
    said = [event for event in facts.events if event.version == facts.version]
    for event in reversed(said):
        if event.action is Action.PROMOTED and event.approved_by:
            return _yes(what, f"{event.approved_by} on {day(event.at)}; asked by {event.actor}")
        if event.action is Action.REJECTED:
            return _no(what, f"{event.actor} said no on {day(event.at)}: {event.reason}", "mend the reason, and train again")
    return _not_yet(what, "approval: manual, no answer yet", "answer in Airflow under Required Actions")


def _rollback(facts: ChecklistFacts) -> ChecklistItem:
    what = "The roll-back has been gone through"
    done = [event for event in facts.events if event.action in (Action.ROLLED_BACK, Action.REHEARSED)]
    to_do = f"`noria rehearse {facts.use_case.name}` goes through promotion and roll-back on a scratch model"
    if not done:
        return _not_yet(what, "never done, never rehearsed", to_do)
    last = done[-1]
    evidence = f"{last.action.words} by {last.actor} on {day(last.at)}"
    if facts.now - last.at > REHEARSAL_HOLDS:
        return _not_yet(what, f"{evidence}, more than {REHEARSAL_HOLDS.days} days ago", to_do)
    return _yes(what, evidence)


def _quality(facts: ChecklistFacts) -> ChecklistItem:
    what = "Quality and drift are watched"
    verdicts, monitoring = facts.operations.verdicts, facts.use_case.monitoring
    policy = f"mails to {', '.join(monitoring.email)}; a new model after {monitoring.retrain.after} verdicts"
    if not verdicts:
        return _not_yet(what, f"{policy}; no interval judged yet", "the pipeline judges the first interval after promotion")
    counted = ", ".join(f"{times} {plain_name(verdict)}" for verdict, times in sorted(verdicts.items()))
    return _yes(what, f"{counted}; {policy}")


def _latency(facts: ChecklistFacts) -> ChecklistItem:
    what = "Latency is watched"
    operations = facts.operations
    if operations.p99_ms is None:
        model = facts.report.metrics.get("latency_ms") if facts.report else None
        alone = f"; the model alone takes {figure('latency_ms', model)} ms" if model is not None else ""
        return _not_yet(what, f"no request served yet{alone}", "serving writes down every answer's latency once it is asked")
    return _yes(what, f"99 % of the latest {operations.requests:,} answers took under {number(operations.p99_ms, 3)} ms")


def _cost(facts: ChecklistFacts) -> ChecklistItem:
    what = "Cost is watched"
    costs, currency, operations = facts.use_case.business.costs, facts.use_case.business.currency, facts.operations
    if not (costs.monthly or costs.training_run or costs.per_1000_predictions):
        return _no(what, "business.costs says that running is free", "write what it costs under business.costs")
    if not operations.ledger:
        return _not_yet(
            what, f"{money(costs.monthly, currency)} a month", "the ledger begins with the first monitored interval"
        )
    earned = f"earned {money(operations.earned, currency)} after costs of {money(operations.cost)}"
    return _yes(
        what, f"{_counted(operations.ledger, 'interval')} in the ledger: {earned}, the baseline {money(operations.rule)}"
    )


def _risks(facts: ChecklistFacts) -> ChecklistItem:
    what = "Risks are documented, and watched where they can be"
    risks = facts.use_case.risks
    if not risks:
        return _no(what, "no risk is written down", "write what may go wrong, for whom, under `risks` in use_case.yaml")
    high = sum(risk.severity is RiskSeverity.HIGH for risk in risks)
    watched = sum(risk.gate is not None for risk in risks)
    return _yes(
        what, f"{len(risks)} risk{'s' if len(risks) > 1 else ''}, {high} of high severity; {watched} watched by a gate"
    )


def _fairness(facts: ChecklistFacts) -> ChecklistItem:
    what = "Groups of people are held against each other"
    protected = facts.use_case.protected
    if not protected:
        found = "no feature is declared `protected`, so none was measured"
        if facts.use_case.risks:
            return _yes(what, f"{found}; what may go wrong for whom stands under the risks")
        return _not_yet(
            what, found, "list features that stand for groups of people under `protected`, or the risk under `risks`"
        )
    report = facts.report
    measured = (
        {part.attribute for part in report.fairness} | {part.attribute for part in report.group_errors} if report else set()
    )
    if missing := [name for name in protected if name not in measured]:
        return _no(what, f"{', '.join(missing)}: not measured", "train again: the evaluation measures what is protected")
    return _yes(what, f"measured for {', '.join(protected)}")


def _about(gates: Sequence[GateResult], place: str) -> list[GateResult]:
    return [gate for gate in gates if gate.evidence == f"#{place}s"]


def _by_gates(what: str, gates: Sequence[GateResult], to_do: str) -> ChecklistItem:
    evidence = "; ".join(f"{gate.condition}: found {gate.found}" for gate in gates)
    return _yes(what, evidence) if all(gate.passed for gate in gates) else _no(what, evidence, to_do)


def _worst_known(parts: Sequence[SegmentMetrics]) -> str:
    judged = [part for part in parts if part.judged and MONEY in part.metrics]
    if not judged:
        return "no gate watches the worst segment, and none was judged"
    worst = min(judged, key=lambda part: part.metrics[MONEY])
    return (
        f"no gate watches it; least worth: {worst.segment} {worst.value}, {money(worst.metrics[MONEY])} per 1,000 decisions"
    )


def _yes(what: str, evidence: str) -> ChecklistItem:
    return ChecklistItem(what=what, state=CheckState.YES, evidence=evidence)


def _no(what: str, evidence: str, to_do: str) -> ChecklistItem:
    return ChecklistItem(what=what, state=CheckState.NO, evidence=evidence, to_do=to_do)


def _not_yet(what: str, evidence: str, to_do: str) -> ChecklistItem:
    return ChecklistItem(what=what, state=CheckState.NOT_YET, evidence=evidence, to_do=to_do)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
