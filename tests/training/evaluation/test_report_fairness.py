"""Fairness in a report: figures that a gate can hold, and how sure they are."""

from dataclasses import replace

import numpy as np
import pytest

from noria.core.use_case import Task
from noria.training.data.columns import Categories
from noria.training.evaluation.report import evaluate
from tests.training.evaluation.evaluated_rows import EXPORT, evaluated, evaluated_candidate, parcels_of, training_set

pytestmark = pytest.mark.slow


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
