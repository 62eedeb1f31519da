"""What a report says of the evaluated rows, for each task."""

import json
from dataclasses import replace

import numpy as np
import pytest

from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.metrics.binary import roc_auc
from noria.core.metrics.task_profile import search_metric
from noria.core.model.decision import money
from noria.core.use_case import Task
from noria.training.evaluation.report import evaluate
from tests.training.evaluation.evaluated_rows import EXPORT, GATES, evaluated, evaluated_candidate, parcels_of, training_set

pytestmark = pytest.mark.slow

TASKS = tuple(Task)


@pytest.fixture(scope="module", params=TASKS, ids=str)
def evaluated_of_task(request, tmp_path_factory):
    """Use case, judged candidate and report of each task."""
    use_case = parcels_of(tmp_path_factory.mktemp("use_cases"), request.param)
    candidate = evaluated_candidate(use_case, training_set(request.param))
    return use_case, candidate, evaluate(use_case, candidate, EXPORT)


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
    baseline = report.reference("baseline")
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


def test_the_larger_the_model_the_fewer_rows_are_explained(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    rows = training_set(use_case.task, 4000)
    found = {
        size: evaluate(use_case, evaluated_candidate(use_case, rows), replace(EXPORT, graph_bytes=size)).explained_rows
        for size in (1_000, 4_000_000, 100_000_000)
    }
    judged_rows = evaluated_candidate(use_case, rows).fold.validation
    assert found == {1_000: len(judged_rows), 4_000_000: 200, 100_000_000: 60}


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
