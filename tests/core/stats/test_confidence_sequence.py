"""Looking again and again does not raise more false alarms than was allowed, and a real difference is still found."""

import math

import numpy as np
import pytest

from noria.core.stats.confidence_sequence import chance_of_as_many, mean_difference, share_of_alpha

PEEKS = np.unique(np.geomspace(200, 8000, 40).astype(int))
DRAWS = {
    "normal": lambda draw, rows: draw.normal(size=rows),
    "payoffs": lambda draw, rows: draw.choice([25.0, -6.0, -15.0, 0.0], rows, p=[0.2, 0.3, 0.1, 0.4]),
    "a rare large loss": lambda draw, rows: np.where(draw.random(rows) < 0.01, -100.0, 1.0),
}


def first_sure(values, taken):
    """Number of rows at which constant looking is sure, and of what sign; None if never."""
    for rows in PEEKS:
        ours = taken[:rows]
        found = mean_difference(values[:rows][~ours], values[:rows][ours], alpha=0.05, least=100)
        if found is not None and (found.is_below or found.is_above):
            return int(rows), math.copysign(1, found.difference)
    return None


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_false_alarms_under_continual_peeking_stay_below_alpha(kind, share):
    draw = np.random.default_rng(7)
    runs = [first_sure(DRAWS[kind](draw, 8000), draw.random(8000) < share) for _ in range(200)]
    assert sum(run is not None for run in runs) / len(runs) <= 0.05


def test_a_test_that_is_not_sequential_would_raise_them():
    """The simulation can see what it is there to see."""
    draw = np.random.default_rng(7)
    alarms = 0
    for _ in range(200):
        values, taken = draw.normal(size=8000), draw.random(8000) < 0.5
        z = [abs(values[:n][taken[:n]].mean() - values[:n][~taken[:n]].mean()) / math.sqrt(4 / n) for n in PEEKS.tolist()]
        alarms += max(z) > 1.96
    assert alarms / 200 > 0.15


@pytest.mark.parametrize("effect", [-4.0, 4.0])
def test_a_real_difference_is_found_and_its_sign_is_right(effect):
    draw = np.random.default_rng(11)
    runs = []
    for _ in range(50):
        values, taken = DRAWS["payoffs"](draw, 8000), draw.random(8000) < 0.25
        runs.append(first_sure(values + effect * taken, taken))
    assert sum(run is not None for run in runs) >= 48
    assert {run[1] for run in runs if run is not None} == {math.copysign(1, effect)}


def test_too_few_rows_say_nothing_and_equal_rows_are_certain():
    few = np.ones(19)
    assert mean_difference(few, np.ones(1000), alpha=0.05, least=20) is None
    assert mean_difference(np.array([1.0]), np.ones(9), alpha=0.05, least=1) is None
    same = mean_difference(np.ones(50), np.full(50, 3.0), alpha=0.05, least=20)
    assert same is not None
    assert (same.low, same.high, same.rows) == (2.0, 2.0, 50)


def test_parts_of_the_error_budget_sum_to_one():
    assert sum(share_of_alpha(rank) for rank in range(1, 20_000)) == pytest.approx(1, abs=1e-4)


def test_the_binomial_tail_is_exact():
    assert chance_of_as_many(1, 3, 0.01) == pytest.approx(1 - 0.99**3)
    assert chance_of_as_many(0, 3, 0.01) == 1
    assert chance_of_as_many(4, 3, 0.5) == 0
    assert chance_of_as_many(3, 3, 1.0) == 1
    assert chance_of_as_many(1, 3, 0.0) == 0
    exact = sum(math.comb(2000, k) * 0.01**k * 0.99 ** (2000 - k) for k in range(30, 80))
    assert chance_of_as_many(30, 2000, 0.01) == pytest.approx(exact, rel=1e-9)
