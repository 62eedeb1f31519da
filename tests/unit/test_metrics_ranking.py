"""Metrics of ordered lists: against scikit-learn, by hand, and over every order of tied rows."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from noria.core.metrics import ranking

ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9])), min_size=2, max_size=20)
SHORT = st.lists(st.tuples(st.booleans(), st.sampled_from([0.2, 0.7])), min_size=1, max_size=6)
K = st.sampled_from([None, 1, 2, 3, 5])


def arrays(rows):
    return np.array([float(worth) for worth, _ in rows]), np.array([score for _, score in rows])


@settings(deadline=None, max_examples=60)
@given(ROWS.filter(lambda rows: any(worth for worth, _ in rows)), K)
def test_ndcg_of_one_list_is_what_scikit_learn_says_ties_included(rows, k):
    relevance, scores = arrays(rows)
    assert ranking.ndcg(relevance, scores, k=k) == pytest.approx(reference.ndcg_score([relevance], [scores], k=k), abs=1e-9)


def test_ndcg_of_many_lists_is_the_mean_of_each():
    random = np.random.default_rng(0)
    relevance = random.integers(0, 4, (30, 12)).astype(float)
    scores = np.round(random.random((30, 12)), 1)
    shuffled = random.permutation(30 * 12)
    groups = np.repeat([f"list {number}" for number in range(30)], 12)[shuffled]
    found = ranking.ndcg(relevance.ravel()[shuffled], scores.ravel()[shuffled], groups, k=5)
    assert found == pytest.approx(reference.ndcg_score(relevance, scores, k=5), abs=1e-12)


def test_ndcg_by_hand():
    relevance, scores = np.array([3.0, 0.0, 2.0]), np.array([0.9, 0.8, 0.1])
    assert ranking.ndcg(relevance, scores) == pytest.approx((3 + 2 / 2) / (3 + 2 / math.log2(3)))
    assert ranking.ndcg(relevance, scores, k=1) == 1.0
    assert ranking.ndcg(relevance, -scores, k=2) == pytest.approx(2 / (3 + 2 / math.log2(3)))


def average_precision_in_order(labels, k):
    """As the textbook has it, for rows in a given order."""
    hits, total = 0, 0.0
    for place, relevant in enumerate(labels[:k], start=1):
        hits += relevant
        total += relevant * hits / place
    return total / min(sum(labels), k if k is not None else len(labels))


@settings(deadline=None, max_examples=60)
@given(SHORT.filter(lambda rows: any(relevant for relevant, _ in rows)), K)
def test_mean_average_precision_is_the_mean_over_every_order_of_tied_rows(rows, k):
    orders = [
        [relevant for relevant, _ in order]
        for order in permutations(rows)
        if all(first[1] >= second[1] for first, second in pairwise(order))
    ]
    expected = np.mean([average_precision_in_order(order, k) for order in orders])
    labels, scores = arrays(rows)
    assert ranking.mean_average_precision(labels > 0, scores, k=k) == pytest.approx(expected, abs=1e-12)


def test_without_ties_average_precision_is_what_scikit_learn_says():
    random = np.random.default_rng(3)
    labels, scores = random.random((8, 50)) < 0.2, random.random((8, 50))
    groups = np.repeat(np.arange(8), 50)
    expected = np.mean([reference.average_precision_score(*rows) for rows in zip(labels, scores, strict=True)])
    assert ranking.mean_average_precision(labels.ravel(), scores.ravel(), groups) == pytest.approx(expected, abs=1e-12)


def test_mean_average_precision_by_hand():
    labels = np.array([True, False, True, False, True])
    scores = np.array([0.9, 0.8, 0.7, 0.9, 0.1])
    groups = np.array(["a", "a", "a", "b", "b"])
    assert ranking.mean_average_precision(labels, scores, groups) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert ranking.mean_average_precision(labels, scores, groups, k=1) == pytest.approx((1 + 0) / 2)


def test_the_best_order_gives_1_whatever_k_is():
    labels = np.array([True, True, True, False])
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    for k in (None, 1, 2, 3, 4, 9):
        assert ranking.mean_average_precision(labels, scores, k=k) == pytest.approx(1.0)
        assert ranking.ndcg(labels.astype(float), scores, k=k) == pytest.approx(1.0)


def test_lists_with_nothing_relevant_are_left_out():
    relevance, scores = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.1, 0.9, 0.5, 0.4])
    groups = np.array([1, 1, 2, 2])
    assert ranking.ndcg(relevance, scores, groups) == ranking.ndcg(relevance[:2], scores[:2])
    assert ranking.mean_average_precision(relevance > 0, scores, groups) == 0.5
    assert math.isnan(ranking.ndcg(relevance[2:], scores[2:]))
    assert math.isnan(ranking.mean_average_precision(relevance[2:] > 0, scores[2:]))


def test_no_rows_have_no_order():
    nothing = np.array([])
    assert math.isnan(ranking.ndcg(nothing, nothing, k=3))
    assert math.isnan(ranking.mean_average_precision(nothing > 0, nothing))


def test_what_makes_no_sense_is_refused():
    some = np.ones(2)
    with pytest.raises(ValueError, match=r"below 0, found -1\.0"):
        ranking.ndcg(-some, some)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        ranking.ndcg(some, some, k=0)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        ranking.mean_average_precision(some > 0, some, k=0)
