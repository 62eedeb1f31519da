from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.check_line import CheckState
from noria.reports.checklist import ChecklistFacts, compute_checklist
from noria.reports.operations import Operations, read_operations
from tests.release.test_audit import note
from tests.reports.made_up import JUNE, a_lineage, a_report, a_whole_use_case, judged

BUSY = Operations(verdicts={"stable": 3, "drift": 1}, requests=500, p99_ms=4.2, ledger=4, earned=900, rule=400, cost=480)


@pytest.fixture
def facts(tmp_path, audit):
    use_case = a_whole_use_case(tmp_path)
    note(audit, Action.PROMOTED, "3", "2")
    note(audit, Action.REHEARSED, "3", "3")
    events = audit.events("parcels")
    return ChecklistFacts(
        use_case=use_case,
        report=a_report(),
        gates=judged(use_case),
        lineage=a_lineage(),
        operations=BUSY,
        events=events,
        version="3",
        now=events[-1].at + timedelta(days=1),
    )


def line(facts: ChecklistFacts, what: str):
    (found,) = (line for line in compute_checklist(facts) if what in line.what)
    return found


def changed(facts: ChecklistFacts, **fields) -> ChecklistFacts:
    return replace(facts, use_case=facts.use_case.model_copy(update=fields))


def test_everything_in_place_is_all_yes(facts):
    lines = compute_checklist(facts)
    assert len(lines) == 12
    assert [line.what for line in lines if line.state is not CheckState.YES] == []
    assert all(line.evidence and not line.to_do for line in lines)


def test_nothing_in_place_is_no_yes_but_what_asks_for_nothing(facts):
    bare = ChecklistFacts(
        use_case=facts.use_case.model_copy(update={"risks": (), "approval": "manual"}),
        report=None,
        gates=(),
        lineage=None,
        operations=Operations(),
        events=(),
        version="",
        now=JUNE,
    )
    lines = compute_checklist(bare)
    assert [line.what for line in lines if line.state is CheckState.YES] == []
    assert all(line.to_do for line in lines)


@pytest.mark.parametrize(
    ("change", "what", "state", "evidence"),
    [
        ({"report": a_report(rivals=())}, "the baseline", CheckState.NO, "not measured"),
        ({"lineage": a_lineage().model_copy(update={"sources": ()})}, "traced back", CheckState.YES, "50,000 rows"),
        ({"operations": replace(BUSY, verdicts={"quality_loss": 1})}, "over time", CheckState.NO, "1 lost quality"),
        ({"operations": Operations()}, "Quality and drift", CheckState.NOT_YET, "no interval judged yet"),
        ({"operations": Operations()}, "Latency", CheckState.NOT_YET, "the model alone takes 0.070 ms"),
        ({"operations": Operations()}, "Cost", CheckState.NOT_YET, "EUR 120 a month"),
        ({"operations": BUSY}, "Cost", CheckState.YES, "earned EUR 900 after costs of 480, the baseline 400"),
        ({"report": a_report(fairness=())}, "Groups of people", CheckState.NO, "depot: not measured"),
    ],
)
def test_each_line_follows_from_its_facts(facts, change, what, state, evidence):
    found = line(replace(facts, **change), what)
    assert (found.state, evidence in found.evidence) == (state, True), found


def test_a_source_without_a_trace_is_named(facts):
    (source,) = a_lineage().sources
    lost = a_lineage().model_copy(update={"sources": (source.model_copy(update={"stretches": ()}),)})
    found = line(replace(facts, lineage=lost), "traced back")
    assert (found.state, found.evidence) == (CheckState.NO, "nothing is known of parcels")


def test_a_segment_without_a_gate_is_not_yet_and_says_which_is_worth_least(facts):
    gates = tuple(gate for gate in facts.gates if gate.evidence != "#segments")
    found = line(replace(facts, gates=gates), "every segment")
    assert (found.state, "depot south, 500 per 1,000" in found.evidence) == (CheckState.NOT_YET, True)
    assert "worst_segment_at_least" in found.to_do


def test_a_rehearsal_ages(facts):
    assert "rehearsed by ana" in line(facts, "roll-back").evidence
    old = replace(facts, now=facts.now + timedelta(days=90))
    assert (line(old, "roll-back").state, line(old, "roll-back").to_do[:24]) == (
        CheckState.NOT_YET,
        "`noria rehearse parcels`",
    )
    never = replace(facts, events=facts.events[:1])
    assert line(never, "roll-back").evidence == "never done, never rehearsed"


def test_one_judged_month_says_nothing_about_time(facts):
    report = a_report(segments=a_report().segments[:4])
    found = line(replace(facts, report=report, operations=Operations()), "over time")
    assert (found.state, found.evidence) == (CheckState.NOT_YET, "1 month judged, 0 intervals monitored since")


def test_a_person_must_have_said_yes_where_one_is_asked(facts, audit):
    asked = changed(facts, approval="manual")
    assert line(asked, "approval that is needed").state is CheckState.NOT_YET
    said = {"approved_by": "ben"}
    note(audit, Action.PROMOTED, "3", "2", evidence=said)
    found = line(replace(asked, events=audit.events("parcels")), "approval that is needed")
    assert (found.state, "ben on 2024-05-01; asked by ana" in found.evidence) == (CheckState.YES, True)
    note(audit, Action.REJECTED, "4")
    assert (
        line(replace(asked, version="4", events=audit.events("parcels")), "approval that is needed").state is CheckState.NO
    )


def test_operations_are_what_the_warehouse_has_of_that_version(engine):
    with engine.begin() as connection:
        for month, version, verdict in (
            ("01", "3", "stable"),
            ("02", "3", "stable"),
            ("03", "3", "too_few_rows"),
            ("04", "4", "drift"),
        ):
            start, end = f"2024-{month}-01", f"2024-{month}-28"
            connection.execute(
                sa.text("insert into ops.verdicts values ('parcels', :start, :end, :version, :verdict, '{}', '', now())"),
                {"start": start, "end": end, "version": version, "verdict": verdict},
            )
            connection.execute(
                sa.text("insert into ops.ledger values ('parcels', :start, :end, :version, 10, 10, 100, 40, 10, 'EUR')"),
                {"start": start, "end": end, "version": version},
            )
        for number in range(100):
            connection.execute(
                sa.text(
                    "insert into ops.predictions "
                    "(id, use_case, version, requested_at, features, score, decision, latency_ms) "
                    "values (gen_random_uuid(), 'parcels', '3', now(), '{}', 0.5, 'true', :latency)"
                ),
                {"latency": float(number)},
            )
    found = read_operations(engine, "parcels", "3")
    assert (found.verdicts, found.judged) == ({"stable": 2, "too_few_rows": 1}, 2)
    assert (found.requests, found.p99_ms) == (100, pytest.approx(98.01))
    assert (found.ledger, found.earned, found.rule, found.cost) == (3, 270, 120, 30)
    assert read_operations(engine, "parcels", "9") == Operations()
