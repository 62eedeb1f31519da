import json
from dataclasses import replace

import numpy as np
import pytest

from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.metrics.binary import roc_auc
from noria.core.metrics.task_profile import search_metric
from noria.core.model.bundle import baseline_manifest
from noria.core.model.decision import money
from noria.core.model.signature import Field, Kind
from noria.core.use_case import Task
from noria.inference.predictor import RulePredictor, baseline_predictor
from noria.training.data.columns import Categories
from noria.training.data.target import PredictionTarget
from noria.training.evaluation.learning_curve import learning_curve
from noria.training.evaluation.report import evaluate
from noria.training.evaluation.scored_slice import ScoredSlice
from noria.training.fit.pipeline import Pipeline
from noria.training.models.base.estimator import FitContext
from noria.training.models.catalog import make_estimator
from tests.training.evaluation.evaluated_rows import (
    EXPORT,
    GATES,
    LeastSquares,
    evaluated_candidate,
    fold_of,
    parcels_of,
    training_set,
)

pytestmark = pytest.mark.slow

TASKS = tuple(Task)


@pytest.fixture(scope="module", params=TASKS, ids=str)
def evaluated_of_task(request, tmp_path_factory):
    """Use case, judged candidate and report of each task."""
    use_case = parcels_of(tmp_path_factory.mktemp("use_cases"), request.param)
    candidate = evaluated_candidate(use_case, training_set(request.param))
    return use_case, candidate, evaluate(use_case, candidate, EXPORT)


def evaluated(root, task=Task.BINARY_CLASSIFICATION, rows=4000, extra=None, **changes):
    use_case = parcels_of(root, task, **changes)
    candidate = evaluated_candidate(use_case, training_set(task, rows, **(extra or {})))
    return candidate, evaluate(use_case, candidate, EXPORT)


def test_report_describes_the_evaluated_rows(evaluated_of_task):
    use_case, candidate, report = evaluated_of_task
    rows = candidate.fold.validation
    assert (report.task, report.rows, report.resampled) == (use_case.task, len(rows), "days")
    assert report.start == candidate.fold.window.start.isoformat()
    assert {"value", "parity", "latency_ms", "size_mb", GATES[use_case.task]} <= set(report.metrics)
    worth = money(use_case.business.value, rows.labels, candidate.policy.decide(candidate.scores), use_case.label.classes)
    assert report.metrics["value"] == pytest.approx(1000 * worth.mean())
    if use_case.task is Task.MULTICLASS:
        assert list(report.classes) == list(use_case.label.classes)
        assert sum(report.classes.values()) == len(rows)
    if use_case.task is Task.BINARY_CLASSIFICATION:
        assert report.positives == int(rows.labels.sum())


def test_the_same_arguments_give_the_same_report_and_it_survives_json(evaluated_of_task):
    use_case, candidate, report = evaluated_of_task
    again = evaluate(use_case, candidate, EXPORT)
    assert again.model_dump_json() == report.model_dump_json()
    assert "NaN" not in report.model_dump_json()
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report


def test_every_metric_lies_in_its_interval(evaluated_of_task):
    _, _, report = evaluated_of_task
    assert {"value"} < set(report.intervals) < set(report.metrics)
    for metric, estimate in report.intervals.items():
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.value == pytest.approx(report.metrics[metric])


def test_references_are_compared_in_gated_metrics_and_money(evaluated_of_task):
    use_case, _, report = evaluated_of_task
    baseline = report.rival("baseline")
    assert baseline is not None
    asked = {"value", GATES[use_case.task], search_metric(use_case)}
    assert set(baseline.differences) == asked
    for metric, difference in baseline.differences.items():
        assert difference.value == pytest.approx(report.metrics[metric] - baseline.metrics[metric])
        assert difference.low <= difference.value <= difference.high
        assert 0 < difference.p_not_better <= 1
    assert baseline.differences["value"].p_not_better < 0.05  # the made-up rule is poor


def test_value_lines_increase_from_baseline_to_perfect_foresight(evaluated_of_task):
    use_case, _, report = evaluated_of_task
    worth = {line.name: line.per_1000.value for line in report.values}
    names = ["candidate", "champion", "baseline", "nothing", "perfect"]
    assert list(worth) == [name for name in names if name != "nothing" or use_case.task is not Task.REGRESSION]
    assert worth["champion"] == worth["baseline"] < worth["candidate"] < worth["perfect"]
    assert worth["candidate"] == pytest.approx(report.metrics["value"])


def test_segments_add_up_and_small_ones_have_no_metrics(evaluated_of_task):
    use_case, _, report = evaluated_of_task
    depots = [part for part in report.segments if part.segment == "depot"]
    assert {part.value for part in depots} == {"(missing)", "north", "south", "harbour"}
    assert sum(part.rows for part in depots) == report.rows
    missing, north = (next(part for part in depots if part.value == name) for name in ("(missing)", "north"))
    assert (missing.judged, missing.metrics) == (False, {})
    assert set(north.intervals) == {GATES[use_case.task], "value"}
    overall = sum(part.rows * part.metrics["value"] for part in depots if part.judged)
    judged_rows = sum(part.rows for part in depots if part.judged)
    assert overall / judged_rows == pytest.approx(report.metrics["value"], rel=0.1)
    assert {part.value for part in report.segments if part.segment == "event_month"} == {"2024-03", "2024-04"}


def test_contributions_rank_features_overall_and_by_large_segment(evaluated_of_task):
    use_case, candidate, report = evaluated_of_task
    overall = [part for part in report.contributions if not part.segment]
    assert {part.feature for part in overall} == set(use_case.features.names)
    assert [part.importance for part in overall] == sorted((part.importance for part in overall), reverse=True)
    assert overall[0].feature == "weight"
    moved = np.abs(candidate.model.contributions(candidate.fold.validation)).mean(axis=0)
    assert overall[0].importance == pytest.approx(moved.max(), rel=0.1)
    assert {part.segment for part in report.contributions} == {"", "depot=north", "depot=south", "depot=harbour"}


def test_single_rows_are_explained_in_the_use_cases_own_words(evaluated_of_task):
    _, _, report = evaluated_of_task
    assert 3 <= len(report.examples) <= 8
    assert len({example.why for example in report.examples}) == len(report.examples)
    for example in report.examples:
        assert len(example.reasons) == 3
        strengths = [abs(reason.contribution) for reason in example.reasons]
        assert strengths == sorted(strengths, reverse=True)
    words = [reason.words for example in report.examples for reason in example.reasons]
    assert any(text.startswith("Depot it leaves from: ") for text in words)
    assert any(text.startswith("weight: ") and text.endswith(" kg") for text in words)


def test_the_learning_curve_uses_the_latest_rows_and_ends_at_all_of_them(evaluated_of_task):
    use_case, candidate, report = evaluated_of_task
    sizes = [point.rows for point in report.learning_curve]
    assert sizes == [int(share * len(candidate.fold.training)) for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    raw = report.learning_curve[-1].metric
    assert raw == pytest.approx(report.metrics[search_metric(use_case)], rel=0.02)


def test_the_learning_curve_is_cut_where_it_would_cost_too_much(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    candidate = evaluated_candidate(use_case, training_set(use_case.task, 4000))
    outcome = ScoredSlice(candidate.policy, use_case.business.value, candidate.fold.validation.labels, candidate.scores)
    curve = list(learning_curve(candidate, outcome, "roc_auc", most_rows=1000))
    assert [point.rows for point in curve] == [200, 400, 600, 800, 1000]
    assert isinstance(candidate.pipeline, LeastSquares)
    assert max(map(len, candidate.pipeline.fitted_to[1:])) == 1000
    assert {part.times[-1] for part in candidate.pipeline.fitted_to[1:]} == {
        candidate.fold.training.times[-1]
    }  # the latest ones


def test_the_larger_the_model_the_fewer_rows_are_explained(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    rows = training_set(use_case.task, 4000)
    found = {
        size: evaluate(use_case, evaluated_candidate(use_case, rows), replace(EXPORT, graph_bytes=size)).explained_rows
        for size in (1_000, 4_000_000, 100_000_000)
    }
    judged_rows = evaluated_candidate(use_case, rows).fold.validation
    assert found == {1_000: len(judged_rows), 4_000_000: 200, 100_000_000: 60}


def test_points_of_the_learning_curve_are_made_with_fewer_and_smaller_trees(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    many = {**make_estimator("gradient_boosting", PredictionTarget()).defaults, "trees_rounds": 400, "trees_depth": 2}
    as_many_as_the_curve_takes = {**many, "trees_rounds": 150}
    rows, curves = training_set(use_case.task, 3000), []
    for params in (many, as_many_as_the_curve_takes):
        pipeline = Pipeline("gradient_boosting", params, use_case.features, FitContext(7, 1), PredictionTarget())
        model = pipeline.fit(fold_of(rows).training)
        candidate = evaluated_candidate(
            use_case, rows, pipeline=pipeline, model=model, scores=model.score(fold_of(rows).validation)
        )
        curves.append(evaluate(use_case, candidate, EXPORT).learning_curve)
    assert len(curves[0]) == 5
    assert curves[0] == curves[1]


def test_plots_fit_the_task(evaluated_of_task):
    use_case, _, report = evaluated_of_task
    assert sum(part.rows for part in report.calibration) == report.rows
    if use_case.task is Task.REGRESSION:
        assert report.confusion == ()
        assert len(report.residuals) == 500
        assert {part.attribute for part in report.group_errors} == {"depot"}
        return
    assert sum(map(sum, report.confusion)) == report.rows
    assert (report.residuals, report.group_errors) == ((), ())


def test_the_threshold_curve_gives_the_money_of_each_threshold(tmp_path):
    candidate, report = evaluated(tmp_path)
    labels, value = candidate.fold.validation.labels, {"tp": 5, "fp": -1, "fn": -3}
    assert 2 < len(report.threshold_curve) <= 101
    for point in report.threshold_curve[::10]:
        yes = candidate.scores >= point.x
        worth = value["tp"] * (yes & labels) + value["fp"] * (yes & ~labels) + value["fn"] * (~yes & labels)
        assert point.y == pytest.approx(1000 * worth.mean())


def test_the_shift_curve_is_best_where_the_dearer_error_is_avoided(tmp_path):
    candidate, report = evaluated(tmp_path, Task.REGRESSION)
    assert len(report.threshold_curve) <= 101
    here = next(point for point in report.threshold_curve if point.x == 0)
    best = max(report.threshold_curve, key=lambda point: point.y)
    assert here.y == pytest.approx(report.metrics["value"])
    assert best.x > 0  # too low costs 2.5 times as much as too high
    errors = candidate.scores - candidate.fold.validation.labels
    for point, share in ((report.threshold_curve[0], 0.05), (report.threshold_curve[-1], 0.95)):
        assert point.x == pytest.approx(np.quantile(-errors, share))
        moved = errors + point.x
        assert point.y == pytest.approx(1000 * np.where(moved > 0, -moved, 2.5 * moved).mean())


def test_fairness_is_reported_as_metrics_that_a_gate_can_hold(tmp_path):
    candidate, report = evaluated(tmp_path)
    (found,) = report.fairness
    yes = candidate.policy.decide(candidate.scores)
    depots = np.array([str(depot) for depot in candidate.fold.validation.columns["depot"]])
    rates = {part.value: part.selection_rate for part in found.groups}
    assert rates["north"] == pytest.approx(yes[depots == "north"].mean())
    assert report.metrics["demographic_parity"] == found.demographic_parity
    assert report.metrics["disparate_impact"] == found.disparate_impact
    assert not next(part for part in found.groups if part.value == "(missing)").judged


def test_the_worst_attribute_speaks_for_all(tmp_path):
    _, report = evaluated(tmp_path, protected=["depot", "street"], rows=8000)
    told = {part.attribute: part for part in report.fairness}
    assert set(told) == {"depot", "street"}
    assert told["depot"].disparate_impact != told["street"].disparate_impact
    assert report.metrics["disparate_impact"] == min(part.disparate_impact for part in told.values())
    assert report.metrics["demographic_parity"] == max(part.demographic_parity for part in told.values())


def test_champion_with_a_removed_feature_is_compared_with_it_missing(tmp_path, caplog):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    rule = baseline_manifest(use_case)
    fields = (*rule.signature.fields, Field(name="rain", kind=Kind.NUMERIC))
    gone = rule.model_copy(update={"signature": rule.signature.model_copy(update={"fields": fields}), "rule": "rain > 3"})
    references = (("baseline", "0", baseline_predictor(use_case)), ("champion", "4", RulePredictor(gone)))
    candidate = evaluated_candidate(use_case, training_set(use_case.task, 3000), references=references)
    report = evaluate(use_case, candidate, EXPORT)
    champion = report.rival("champion")
    assert champion is not None
    assert champion.metrics["recall"] == 0
    assert "champion reads rain, which is no feature any more" in report.note
    assert "rain" in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": Task.REGRESSION}, "was made for another task (regression instead of multiclass)"),
        ({"classes": ("on_time", "late")}, "knows other classes (on_time, late instead of on_time, late, lost)"),
    ],
)
def test_a_champion_that_predicts_something_else_is_not_compared(tmp_path, change, reason):
    use_case = parcels_of(tmp_path, Task.MULTICLASS)
    other = RulePredictor(baseline_manifest(use_case).model_copy(update=change))
    references = (("baseline", "0", baseline_predictor(use_case)), ("champion", "3", other))
    report = evaluate(
        use_case, evaluated_candidate(use_case, training_set(use_case.task, 3000), references=references), EXPORT
    )
    assert report.rival("champion") is None
    assert "champion" not in {line.name for line in report.values}
    assert f"The champion (version 3) {reason}: it is not compared" in report.note


def test_rows_are_drawn_singly_where_days_are_few_and_by_group_where_rows_are_split_by_group(tmp_path):
    stratified = {"split": {"by": "stratified"}}
    assert evaluated(tmp_path / "a", training=stratified)[1].resampled == "rows"
    grouped = {"split": {"by": "group", "group": "street"}}
    assert evaluated(tmp_path / "b", training=grouped)[1].resampled == "street"


def test_intervals_are_wider_where_rows_of_a_day_resemble_one_another(tmp_path):
    task = Task.BINARY_CLASSIFICATION
    rows = training_set(task, 6000)
    days = rows.times // 86_400_000_000
    labels = np.random.default_rng(3).random(int(days.max()) + 1)[days] < 0.4  # good days and bad days
    alike = type(rows)(rows.columns, labels, rows.times)
    by_day, by_row = (parcels_of(tmp_path / by, task, training={"split": {"by": by}}) for by in ("time", "stratified"))
    widths = []
    for use_case in (by_day, by_row):
        found = evaluate(use_case, evaluated_candidate(use_case, alike), EXPORT).intervals["value"]
        widths.append(found.high - found.low)
    assert widths[0] > 2 * widths[1]


def test_a_strict_gate_gets_enough_draws_to_be_passed(tmp_path):
    gates = [{"metric": "value", "better_than": "baseline", "confidence": 0.999}]
    _, report = evaluated(tmp_path, gates=gates)
    baseline = report.rival("baseline")
    assert baseline is not None
    assert baseline.differences["value"].p_not_better <= 0.001


def test_a_segment_of_many_values_keeps_the_largest_and_lumps_the_rest(tmp_path):
    _, report = evaluated(tmp_path, segments=["street"], rows=8000)
    streets = [part for part in report.segments if part.segment == "street"]
    assert len(streets) == 101
    assert sum(part.rows for part in streets) == report.rows
    lumped = next(part for part in streets if part.value == "(others)")
    assert lumped.rows > 100


def test_one_class_alone_can_be_reported(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    candidate = evaluated_candidate(use_case, training_set(use_case.task, 3000))
    candidate.fold.validation.labels[:] = False
    report = evaluate(use_case, candidate, EXPORT)
    assert "roc_auc" not in report.metrics
    assert report.metrics["value"] <= 0
    assert all(not part.judged for part in report.segments)
    json.loads(report.model_dump_json())


def test_the_report_agrees_with_the_metric_of_the_same_scores(tmp_path):
    candidate, report = evaluated(tmp_path)
    assert report.metrics["roc_auc"] == pytest.approx(roc_auc(candidate.fold.validation.labels, candidate.scores))


def test_fairness_has_intervals_by_the_same_draws_as_everything_else(tmp_path):
    candidate, report = evaluated(tmp_path, rows=6000)
    (found,) = report.fairness
    assert set(found.intervals) == {"demographic_parity", "disparate_impact", "equalised_odds"}
    for figure, estimate in found.intervals.items():
        assert estimate.low < estimate.value < estimate.high
        assert estimate.value == pytest.approx(getattr(found, figure))
        assert report.intervals[figure] == estimate
    judged_groups = [part for part in found.groups if part.judged]
    assert len(judged_groups) > 1
    for group in judged_groups:
        assert group.intervals["selection_rate"].value == group.selection_rate
        if 0 < group.selection_rate < 1:
            assert group.intervals["selection_rate"].low < group.selection_rate < group.intervals["selection_rate"].high
    assert all(not part.intervals for part in found.groups if not part.judged)
    # By hand: the two groups that are farthest apart, over days drawn anew.
    yes = candidate.policy.decide(candidate.scores).astype(bool)
    depots = np.array([str(depot) for depot in candidate.fold.validation.columns["depot"]])
    ranked = sorted(judged_groups, key=lambda part: part.selection_rate)
    lowest, highest = (depots == part.value for part in (ranked[0], ranked[-1]))
    days = np.unique(candidate.fold.validation.times // 86_400_000_000, return_inverse=True)[1]
    random, gaps = np.random.default_rng(99), []
    for _ in range(300):
        drawn = random.integers(0, days.max() + 1, days.max() + 1)
        times = np.bincount(drawn, minlength=days.max() + 1)[days]
        rates = [np.sum(times * yes * group) / np.sum(times * group) for group in (lowest, highest)]
        gaps.append(rates[1] - rates[0])
    low, high = np.quantile(gaps, [0.025, 0.975])
    width = high - low
    assert found.intervals["demographic_parity"].low == pytest.approx(low, abs=0.25 * width)
    assert found.intervals["demographic_parity"].high == pytest.approx(high, abs=0.25 * width)


def test_fairness_intervals_of_equal_groups_include_equality(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    rows = training_set(use_case.task, 6000)
    random = np.random.default_rng(5)
    depots = Categories.of(random.choice(["north", "south"], len(rows)).tolist())
    candidate = evaluated_candidate(use_case, replace(rows, columns={**rows.columns, "depot": depots}))
    noise = random.random(len(candidate.scores))
    (found,) = evaluate(use_case, replace(candidate, scores=noise), EXPORT).fairness
    apart, ratio = found.intervals["demographic_parity"], found.intervals["disparate_impact"]
    assert apart.low < 0 < apart.value
    assert ratio.value < 1 < ratio.high


def test_errors_of_groups_have_intervals(tmp_path):
    _, report = evaluated(tmp_path, Task.REGRESSION, rows=4000)
    judged_groups = [part for part in report.group_errors if part.judged]
    assert judged_groups
    for part in judged_groups:
        assert set(part.intervals) == {"mean_prediction", "mean_error"}
        assert part.intervals["mean_error"].low < part.mean_error < part.intervals["mean_error"].high
        assert part.intervals["mean_error"].value == part.mean_error
