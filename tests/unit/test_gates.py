import pytest

from noria.core.evaluation import EvaluationReport, Rival, SegmentMetrics
from noria.core.gates import check_gates, summarise
from noria.core.use_case import Gate
from noria.testing.builders import a_use_case

METRICS = {"roc_auc": 0.71, "average_precision": 0.41, "log_loss": 0.5, "brier": 0.17, "recall": 0.8, "value": 812.0}


def a_report(**changes) -> EvaluationReport:
    rule = {"roc_auc": 0.6, "average_precision": 0.3, "log_loss": 9.0, "brier": 0.3, "recall": 0.5, "value": 300.0}
    fields = {
        "start": "2024-05-01T00:00:00+00:00",
        "end": "2024-06-01T00:00:00+00:00",
        "rows": 1000,
        "positives": 250,
        "threshold": 0.13,
        "metrics": METRICS,
        "segments": (
            SegmentMetrics(segment="depot", value="north", rows=600, judged=True, metrics={"recall": 0.7}),
            SegmentMetrics(segment="depot", value="south", rows=390, judged=True, metrics={"recall": 0.35}),
            SegmentMetrics(segment="depot", value="moon", rows=10, judged=False, metrics={}),
        ),
        "rivals": (Rival(name="baseline", version="0", metrics=rule), Rival(name="champion", version="3", metrics=METRICS)),
        "parity": 1e-7,
    }
    return EvaluationReport(**{**fields, **changes})


def judge(report: EvaluationReport | None = None, **gate):
    (result,) = check_gates([Gate(**gate)], report or a_report())
    return result


@pytest.mark.parametrize(
    ("gate", "passed", "found"),
    [
        ({"metric": "roc_auc", "at_least": 0.7}, True, "0.71"),
        ({"metric": "roc_auc", "at_least": 0.71}, True, "0.71"),
        ({"metric": "roc_auc", "at_least": 0.72}, False, "0.71"),
        ({"metric": "log_loss", "at_most": 0.5}, True, "0.5"),
        ({"metric": "log_loss", "at_most": 0.4}, False, "0.5"),
        ({"metric": "value", "better_than": "baseline"}, True, "812 (baseline: 300)"),
        ({"metric": "log_loss", "better_than": "baseline"}, True, "0.5 (baseline: 9)"),
        ({"metric": "value", "better_than": "champion"}, False, "812 (champion, version 3: 812)"),
        ({"metric": "recall", "worst_segment_at_least": 0.3}, True, "0.35 in depot south"),
        ({"metric": "recall", "worst_segment_at_least": 0.4}, False, "0.35 in depot south"),
    ],
)
def test_promises_are_held_against_what_was_found(gate, passed, found):
    result = judge(**gate)
    assert (result.passed, result.found) == (passed, found)


@pytest.mark.parametrize(
    ("report", "gate", "found"),
    [
        (a_report(metrics={}), {"metric": "roc_auc", "at_least": 0.0}, "cannot give it"),
        (a_report(metrics={"roc_auc": float("nan")}), {"metric": "roc_auc", "at_least": 0.0}, "cannot give it"),
        (a_report(rivals=()), {"metric": "value", "better_than": "champion"}, "champion was not measured"),
        (a_report(segments=()), {"metric": "recall", "worst_segment_at_least": 0.0}, "no segment has enough rows"),
        (
            a_report(segments=(SegmentMetrics(segment="depot", value="x", rows=900, judged=True, metrics={}),)),
            {"metric": "recall", "worst_segment_at_least": 0.0},
            "nothing in depot x",
        ),
    ],
)
def test_what_cannot_be_judged_does_not_pass(report, gate, found):
    result = judge(report, **gate)
    assert not result.passed
    assert result.stops
    assert found in result.found


def test_with_the_rule_as_champion_a_model_must_beat_the_rule():
    rule = a_report().rival("baseline")
    assert rule is not None
    report = a_report(rivals=(rule, Rival(name="champion", version="0", metrics=rule.metrics)))
    result = judge(report, metric="value", better_than="champion")
    assert (result.passed, result.found) == (True, "812 (champion, version 0: 300)")


def test_modes_decide_what_a_broken_promise_does():
    broken = {"metric": "roc_auc", "at_least": 0.99}
    off, dry_run, enforced = (Gate(**broken, mode=mode) for mode in ("off", "dry_run", "enforced"))
    results = check_gates([off, dry_run, enforced], a_report())
    assert [(result.passed, result.stops) for result in results] == [(False, False), (False, True)]


def test_the_summary_says_quality_money_and_broken_promises(tmp_path):
    gates = [Gate(metric="roc_auc", at_least=0.7), Gate(metric="recall", worst_segment_at_least=0.4)]
    text = summarise(a_use_case(tmp_path), a_report(), check_gates(gates, a_report()))
    assert text == (
        "roc_auc 0.710 (rule 0.600), average_precision 0.410 (rule 0.300); EUR 812 per 1,000 decisions (rule 300); "
        "BROKEN: recall at least 0.4 in every judged segment, found 0.35 in depot south"
    )


def test_the_summary_is_one_line_however_much_is_broken(tmp_path):
    gates = check_gates([Gate(metric="recall", worst_segment_at_least=0.9 + step / 1000) for step in range(20)], a_report())
    text = summarise(a_use_case(tmp_path), a_report(), gates)
    assert len(text) < 300
    assert "\n" not in text
    assert text.endswith("…")
