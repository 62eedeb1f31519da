"""Rates of groups and how far they are apart, against fairlearn."""

import math

import numpy as np
import pytest
from fairlearn import metrics as reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from noria.core.stats.fairness import FOUR_FIFTHS, MISSING_GROUP, compare_groups, compare_means

ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["a", "b", "c"])), min_size=2, max_size=60)


def people(rows=3_000, seed=0):
    random = np.random.default_rng(seed)
    groups = random.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2])
    labels = random.random(rows) < 0.3
    decisions = random.random(rows) < np.where(groups == "south", 0.25, 0.4) + 0.2 * labels
    return labels, decisions, groups


@settings(deadline=None, max_examples=50)
@given(ROWS)
@pytest.mark.slow
def test_the_differences_are_what_fairlearn_says(rows):
    labels, decisions = (np.array([row[place] for row in rows]) for place in (0, 1))
    groups = [row[2] for row in rows]
    assume(len(set(groups)) > 1)
    found = compare_groups(labels, decisions, groups, fewest_rows=1, fewest_outcomes=1)
    keywords = {"y_true": labels, "y_pred": decisions, "sensitive_features": groups}
    expected = reference.demographic_parity_difference(**keywords)
    assert found.demographic_parity_difference == pytest.approx(expected, abs=1e-12)
    if decisions.any():
        assert found.disparate_impact == pytest.approx(reference.demographic_parity_ratio(**keywords), abs=1e-12)
    if len({(label, group) for label, _, group in rows}) == 2 * len(set(groups)):  # each group has both outcomes
        expected = reference.equalized_odds_difference(**keywords)
        assert found.equalised_odds_difference == pytest.approx(expected, abs=1e-12)


def test_each_group_has_the_rates_that_fairlearn_says():
    labels, decisions, groups = people()
    frame = reference.MetricFrame(
        metrics={
            "rows": reference.count,
            "selection": reference.selection_rate,
            "hits": reference.true_positive_rate,
            "false_alarms": reference.false_positive_rate,
        },
        y_true=labels,
        y_pred=decisions,
        sensitive_features=groups,
    ).by_group
    found = compare_groups(labels, decisions, groups).groups
    assert [part.group for part in found] == ["north", "south", "west"] == list(frame.index)
    for part in found:
        expected = frame.loc[part.group]
        assert part.judged
        assert part.rows == expected["rows"]
        rates = (part.selection_rate, part.true_positive_rate, part.false_positive_rate)
        assert rates == pytest.approx((expected["selection"], expected["hits"], expected["false_alarms"]), abs=1e-12)


def test_the_names_are_those_that_a_gate_can_hold():
    found = compare_groups(*people())
    assert found.metrics == {
        "demographic_parity": found.demographic_parity_difference,
        "disparate_impact": found.disparate_impact,
        "equalised_odds": found.equalised_odds_difference,
    }
    assert found.disparate_impact < FOUR_FIFTHS  # the south is planted to be decided yes less often


def test_a_group_of_few_rows_is_shown_but_does_not_count():
    labels, decisions, groups = people()
    few = np.array([*groups[:-5], *["island"] * 5])
    decisions[-5:] = True
    found = compare_groups(labels, decisions, few)
    island = next(part for part in found.groups if part.group == "island")
    assert (island.rows, island.judged, island.selection_rate) == (5, False, 1.0)
    others = few != "island"
    without = compare_groups(labels[others], decisions[others], few[others])
    assert found.metrics == without.metrics
    assert compare_groups(labels, decisions, few, fewest_rows=5).demographic_parity_difference > 0.5


def test_rate_of_few_outcomes_is_undefined():
    labels = np.array([True] * 100 + [True] + [False] * 99 + [True] * 50 + [False] * 50)
    groups = ["a"] * 100 + ["b"] * 100 + ["c"] * 100
    decisions = np.arange(300) % 2 == 0
    found = compare_groups(labels, decisions, groups, fewest_rows=100)
    a, b, c = found.groups
    assert math.isnan(a.false_positive_rate)
    assert math.isnan(b.true_positive_rate)
    assert found.equalised_odds_difference == pytest.approx(
        max(abs(a.true_positive_rate - c.true_positive_rate), abs(b.false_positive_rate - c.false_positive_rate))
    )
    only_positives = compare_groups(np.ones(300, dtype=bool), decisions, groups, fewest_rows=100)
    assert math.isnan(only_positives.equalised_odds_difference)
    assert set(only_positives.metrics) == {"demographic_parity", "disparate_impact"}


def test_rows_without_a_group_are_a_group():
    found = compare_groups(np.array([True, False, True]), np.array([True, True, False]), ["a", None, None])
    assert [(part.group, part.rows) for part in found.groups] == [(MISSING_GROUP, 2), ("a", 1)]


def test_undefined_figures_are_left_out():
    labels, decisions, _ = people()
    assert compare_groups(labels, decisions, ["one"] * len(labels)).metrics == {}
    nothing = np.array([], dtype=bool)
    assert compare_groups(nothing, nothing, []).groups == ()
    nobody = compare_groups(labels, np.zeros_like(labels), ["a", "b"] * (len(labels) // 2))
    assert nobody.metrics == {"demographic_parity": 0.0, "equalised_odds": 0.0}
    assert math.isnan(compare_means(np.ones(3), ["a", "a", "a"], fewest_rows=1).mean_difference)


def test_means_of_groups_are_what_fairlearn_says():
    _, _, groups = people()
    random = np.random.default_rng(1)
    labels, predicted = random.normal(100, 10, len(groups)), random.normal(100, 10, len(groups))
    keywords = {"y_true": labels, "y_pred": predicted, "sensitive_features": groups}
    predictions = reference.MetricFrame(metrics=reference.mean_prediction, **keywords)
    found = compare_means(predicted, groups)
    assert found.mean_difference == pytest.approx(predictions.difference(), abs=1e-12)
    assert {part.group: part.mean for part in found.groups} == pytest.approx(predictions.by_group.to_dict())
    errors = reference.MetricFrame(metrics=lambda y_true, y_pred: np.mean(y_pred - y_true), **keywords)
    assert compare_means(predicted - labels, groups).mean_difference == pytest.approx(errors.difference(), abs=1e-12)
    assert [part.judged for part in compare_means(predicted, groups, fewest_rows=1_000).groups] == [True, False, False]
