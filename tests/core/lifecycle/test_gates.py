import pytest

from noria.core.lifecycle.evaluation import Difference, Estimate, EvaluationReport, Fairness, ReferenceResult, SegmentMetrics
from noria.core.lifecycle.gates import check_gates, monthly, summarise, tell
from noria.core.use_case import Gate
from noria.testing.builders import a_use_case

METRICS = {"roc_auc": 0.71, "average_precision": 0.41, "log_loss": 0.5, "brier": 0.17, "recall": 0.8, "value": 812.0}
RULE = {"roc_auc": 0.6, "average_precision": 0.3, "log_loss": 9.0, "brier": 0.3, "recall": 0.5, "value": 300.0}
THEIRS = {**METRICS, "value": 922.0, "log_loss": 0.48, "roc_auc": 0.7}


def a_difference(value: float, half: float, p: float) -> Difference:
    return Difference(value=value, low=value - half, high=value + half, p_not_better=p)


LOSING = {
    "value": a_difference(-110, 150, 0.9),
    "log_loss": a_difference(0.02, 0.015, 0.99),
    "roc_auc": a_difference(0.01, 0.02, 0.2),
}
CHAMPION = ReferenceResult(name="champion", version="3", metrics=THEIRS, differences=LOSING)
BASELINE = ReferenceResult(
    name="baseline",
    version="0",
    metrics=RULE,
    differences={"value": a_difference(512, 100, 0.005), "log_loss": a_difference(-8.5, 1, 0.005)},
)


def part(place: str, rows: int = 400, segment: str = "depot", *, judged: bool = True, **metrics: float) -> SegmentMetrics:
    return SegmentMetrics(segment=segment, value=place, rows=rows, judged=judged, metrics=metrics)


def a_report(**changes) -> EvaluationReport:
    fields = {
        "start": "2024-05-01T00:00:00+00:00",
        "end": "2024-06-01T00:00:00+00:00",
        "rows": 1000,
        "positives": 250,
        "threshold": 0.13,
        "metrics": METRICS,
        "segments": (
            part("north", 600, recall=0.7, value=900.0, brier=0.1),
            part("south", 390, recall=0.35, value=100.0, brier=0.3),
            part("moon", 10, judged=False),
            part("2024-05", 500, "event_month", recall=0.2, value=700.0, brier=0.2),
            part("2024-06", 500, "event_month", recall=0.6, value=800.0, brier=0.4),
        ),
        "rivals": (BASELINE, CHAMPION),
        "parity": 1e-7,
    }
    return EvaluationReport(**{**fields, **changes})


def judge(report: EvaluationReport | None = None, **gate):
    (result,) = check_gates([Gate(**gate)], report or a_report())
    return result


@pytest.mark.parametrize(
    ("gate", "passed", "found"),
    [
        ({"metric": "roc_auc", "at_least": 0.7}, True, "0.710"),
        ({"metric": "roc_auc", "at_least": 0.71}, True, "0.710"),
        ({"metric": "roc_auc", "at_least": 0.72}, False, "0.710"),
        ({"metric": "log_loss", "at_most": 0.5}, True, "0.500"),
        ({"metric": "log_loss", "at_most": 0.4}, False, "0.500"),
        ({"metric": "recall", "worst_segment_at_least": 0.3}, True, "0.350 in depot south (1 small one not judged)"),
        ({"metric": "recall", "worst_segment_at_least": 0.4}, False, "0.350 in depot south (1 small one not judged)"),
        ({"metric": "brier", "worst_segment_at_most": 0.2}, False, "0.300 in depot south (1 small one not judged)"),
        ({"metric": "recall", "worst_month_at_least": 0.2}, True, "0.200 in 2024-05"),
        ({"metric": "brier", "worst_month_at_most": 0.3}, False, "0.400 in 2024-06"),
    ],
)
def test_gates_are_held_against_what_was_found(gate, passed, found):
    result = judge(**gate)
    assert (result.passed, result.found) == (passed, found)


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        ({"metric": "value", "better_than": "baseline"}, True),
        ({"metric": "value", "better_than": "baseline", "confidence": 0.999}, False),
        ({"metric": "log_loss", "better_than": "baseline"}, True),
        ({"metric": "value", "better_than": "champion"}, False),
        ({"metric": "roc_auc", "better_than": "champion"}, False),  # better, but p = 0.2
        ({"metric": "roc_auc", "better_than": "champion", "confidence": 0.75}, True),
        ({"metric": "roc_auc", "not_worse_than": "champion"}, False),  # -0.01 to +0.03
        ({"metric": "roc_auc", "not_worse_than": "champion", "margin": 0.011}, True),
        ({"metric": "roc_auc", "not_worse_than": "champion", "confidence": 0.6}, True),
        ({"metric": "value", "not_worse_than": "champion", "margin": 230}, False),  # 95 %: -260 to +40; one-sided: -234
        ({"metric": "value", "not_worse_than": "champion", "margin": 261}, True),
        ({"metric": "log_loss", "not_worse_than": "champion", "margin": 0.03}, False),  # 0.005 to 0.035 more
        ({"metric": "log_loss", "not_worse_than": "champion", "margin": 0.036}, True),
    ],
)
def test_a_comparison_must_be_surer_than_chance(gate, passed):
    assert judge(**gate).passed is passed


def test_a_lead_that_may_be_chance_is_said_to_be_one():
    result = judge(metric="roc_auc", better_than="champion")
    assert result.found == "0.710 against 0.700 of version 3 (+0.010, 95 % −0.010 to +0.030), which may be chance: p = 0.2"
    assert (result.low, result.high) == pytest.approx((-0.01, 0.03))


@pytest.mark.parametrize(
    ("report", "gate", "found"),
    [
        (a_report(metrics={}), {"metric": "roc_auc", "at_least": 0.0}, "cannot give it"),
        (a_report(metrics={}), {"metric": "roc_auc", "better_than": "baseline"}, "cannot give it"),
        (a_report(metrics={"roc_auc": float("nan")}), {"metric": "roc_auc", "at_least": 0.0}, "cannot give it"),
        (a_report(rivals=()), {"metric": "value", "better_than": "champion"}, "champion was not measured"),
        (a_report(rivals=()), {"metric": "value", "not_worse_than": "champion"}, "champion was not measured"),
        (a_report(segments=()), {"metric": "recall", "worst_segment_at_least": 0.0}, "no segment has enough rows"),
        (a_report(segments=()), {"metric": "recall", "worst_month_at_least": 0.0}, "no month has enough rows"),
        (a_report(segments=(part("x"),)), {"metric": "recall", "worst_segment_at_least": 0.0}, "nothing in depot x"),
        (a_report(segments=(part("x"),)), {"metric": "brier", "worst_segment_at_most": 9.0}, "nothing in depot x"),
        (a_report(), {"metric": "disparate_impact", "at_least": 0.8}, "no disparate_impact"),
        (
            a_report(
                rivals=(
                    ReferenceResult(
                        name="champion", version="3", metrics=THEIRS, differences={"value": a_difference(1, float("nan"), 1)}
                    ),
                )
            ),
            {"metric": "value", "not_worse_than": "champion", "margin": 5000},
            "against 922",
        ),
    ],
)
def test_what_cannot_be_judged_does_not_pass(report, gate, found):
    result = judge(report, **gate)
    assert not result.passed
    assert result.stops
    assert found in result.found


def test_with_the_rule_as_champion_a_model_must_beat_the_rule():
    report = a_report(rivals=(BASELINE, ReferenceResult(name="champion", version="0", metrics=RULE)))
    result = judge(report, metric="value", better_than="champion")
    assert (result.passed, result.found) == (
        True,
        "812 against 300 per 1,000 of the baseline (+512, 95 % +412 to +612)",
    )
    chance = BASELINE.model_copy(update={"differences": {"value": a_difference(512, 900, 0.1)}})
    report = a_report(rivals=(chance, ReferenceResult(name="champion", version="0", metrics=RULE)))
    assert not judge(report, metric="value", better_than="champion").passed


def test_fairness_is_judged_on_the_worst_attribute():
    fairness = tuple(
        Fairness(attribute=name, demographic_parity=gap, disparate_impact=1 - gap, equalised_odds=0.1, groups=())
        for name, gap in (("depot", 0.3), ("street", 0.1))
    )
    report = a_report(fairness=fairness)
    result = judge(report, metric="demographic_parity", at_most=0.2)
    assert (result.passed, result.found, result.evidence) == (False, "0.300 over depot", "#fairness")
    assert judge(report, metric="disparate_impact", at_least=0.7).found == "0.700 over depot"
    unknown = fairness[0].model_copy(update={"attribute": "agent", "demographic_parity": None})
    worst = judge(a_report(fairness=(*fairness, unknown)), metric="demographic_parity", at_most=0.9)
    assert (worst.passed, worst.found) == (False, "nothing over agent")


def test_each_result_points_to_its_evidence():
    gates = [
        Gate(metric="value", better_than="baseline"),
        Gate(metric="recall", worst_segment_at_least=0.1),
        Gate(metric="value", worst_month_at_least=0.1),
        Gate(metric="calibration_error", at_most=0.1),
        Gate(metric="roc_auc", at_least=0.1),
    ]
    places = [result.evidence for result in check_gates(gates, a_report())]
    assert places == ["#value", "#segments", "#months", "#calibration", "#quality"]


def test_failed_gate_says_what_promoting_would_cost():
    report = a_report(rows=31_000)
    assert judge(report, metric="value", better_than="champion").cost == 110
    assert judge(report, metric="value", at_least=900).cost == 88
    assert judge(report, metric="log_loss", better_than="champion").cost == 110  # priced by what its decisions lose
    assert judge(report, metric="value", worst_segment_at_least=200).cost == pytest.approx(100 * 390 / 31_000)
    assert judge(report, metric="roc_auc", at_least=0.9).cost is None
    assert judge(report, metric="value", better_than="baseline").cost is None
    told = tell(judge(report, metric="value", better_than="champion"), report, "EUR")
    assert told == (
        "FAILED: value better than the champion, found EUR 812 against 922 per 1,000 of version 3 (−110, 95 % −260 to +40): "
        "promoting would cost about EUR 3,300 a month"
    )


def test_money_a_month_is_that_of_the_slices_volume():
    report = a_report(rows=31_000)
    assert monthly(10, report) == pytest.approx(10 * 1000 * 30.4375 / 1000)
    assert monthly(10, a_report(rows=0)) is None


def test_an_interval_is_shown_and_kept():
    report = a_report(intervals={"roc_auc": Estimate(value=0.71, low=0.69, high=0.73)})
    result = judge(report, metric="roc_auc", at_least=0.7)
    assert (result.found, result.low, result.high, result.metric) == ("0.710 (95 % 0.690 to 0.730)", 0.69, 0.73, "roc_auc")


def test_modes_decide_what_a_failed_gate_does():
    broken = {"metric": "roc_auc", "at_least": 0.99}
    off, dry_run, enforced = (Gate(**broken, mode=mode) for mode in ("off", "dry_run", "enforced"))
    results = check_gates([off, dry_run, enforced], a_report())
    assert [(result.passed, result.stops) for result in results] == [(False, False), (False, True)]


def test_summary_says_quality_money_and_failed_gates_enforced_first(tmp_path):
    gates = [
        Gate(metric="recall", worst_segment_at_least=0.4, mode="dry_run"),
        Gate(metric="roc_auc", at_least=0.7),
        Gate(metric="roc_auc", at_least=0.8),
    ]
    text = summarise(a_use_case(tmp_path), a_report(), check_gates(gates, a_report()))
    assert text == (
        "ROC AUC 0.710 (baseline 0.600), Average precision 0.410 (baseline 0.300); "
        "EUR 812 per 1,000 decisions (baseline 300); "
        "FAILED: roc_auc at least 0.8, found 0.710; "
        "failed, dry run: recall at least 0.4 in every judged segment, found 0.350 in depot south (1 small one not judged)"
    )


@pytest.mark.parametrize(
    ("task", "metrics", "starts"),
    [
        (
            "multiclass",
            {"log_loss": 0.8, "roc_auc": 0.75, "value": 12.0},
            "ROC AUC 0.750, Log loss 0.800; EUR 12 per 1,000 decisions",
        ),
        (
            "regression",
            {"rmse": 1234.5, "wape": 0.21, "value": -900.0},
            "Weighted percentage error 21.0 %, Root mean squared error 1,234; EUR −900",
        ),
    ],
)
def test_the_summary_speaks_of_the_tasks_own_metrics(tmp_path, task, metrics, starts):
    report = a_report(task=task, metrics=metrics, rivals=())
    assert summarise(a_use_case(tmp_path), report, ()).startswith(starts)


def test_the_summary_is_one_line_however_much_is_broken(tmp_path):
    gates = check_gates([Gate(metric="recall", worst_segment_at_least=0.9 + step / 1000) for step in range(20)], a_report())
    text = summarise(a_use_case(tmp_path), a_report(), gates)
    assert len(text) < 300
    assert "\n" not in text
    assert text.endswith("…")
