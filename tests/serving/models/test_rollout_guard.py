"""When the guard rolls back a challenger, and when it does not."""

import numpy as np
import pytest

from noria.core.use_case import GuardPolicy
from serving.models.rollout_guard import Guard


def see(guard, *, requests, failed=0, slow=0, challenger=True, rows=1, seconds=0.2):
    """What the guard says of so many requests, in the worst order: the good ones first."""
    reasons = []
    for number in range(requests):
        bad, late = number >= requests - failed, number >= requests - slow
        reasons.append(guard.see(challenger, rows, seconds if late else 0.001, bad))
    return next((reason for reason in reasons if reason), "")


def test_guard_one_error_in_a_few_requests_is_not_enough():
    assert see(Guard(GuardPolicy()), requests=3, failed=1) == ""
    assert see(Guard(GuardPolicy()), requests=49, failed=49) == ""
    assert see(Guard(GuardPolicy()), requests=100, failed=1) == ""


def test_more_errors_than_chance_makes_of_the_limit():
    reason = see(Guard(GuardPolicy()), requests=100, failed=10)
    assert "of 9" in reason or "of 100" in reason
    assert "requests failed; 1 % may" in reason
    assert see(Guard(GuardPolicy(error_rate=0.2)), requests=100, failed=10) == ""


def test_challenger_exactly_at_its_limit_is_rarely_rolled_back():
    draw = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        guard = Guard(GuardPolicy())
        alarms += any(guard.see(True, 1, 0.001, bool(failed)) for failed in draw.random(3000) < 0.01)
    assert alarms <= 5


def test_slow_answers_count_where_the_champion_is_quick():
    guard = Guard(GuardPolicy())
    see(guard, requests=500, challenger=False)
    assert "took longer than 50 ms, 1 % may; of the champion 0 of 500 did" in see(guard, requests=100, slow=10)


def test_a_machine_that_is_slow_for_both_is_not_the_challengers_fault():
    guard = Guard(GuardPolicy())
    see(guard, requests=500, slow=100, challenger=False)
    assert see(guard, requests=100, slow=20) == ""
    assert see(guard, requests=100, slow=100) != ""


def test_two_requests_that_hang_are_enough_unless_they_hang_for_the_champion_too():
    assert see(Guard(GuardPolicy()), requests=1, slow=1, seconds=5.0) == ""
    assert see(Guard(GuardPolicy()), requests=2, slow=2, seconds=5.0) == "2 of 2 requests took longer than 500 ms"
    assert see(Guard(GuardPolicy()), requests=1000, slow=2, seconds=5.0) == ""
    guard = Guard(GuardPolicy())
    see(guard, requests=100, slow=40, seconds=5.0, challenger=False)
    assert see(guard, requests=2, slow=2, seconds=5.0) == ""


def test_large_batches_say_nothing_about_the_time_of_a_request():
    assert see(Guard(GuardPolicy()), requests=200, slow=200, rows=1000) == ""


def test_guard_times_of_a_shadow_do_not_count():
    assert see(Guard(GuardPolicy(), timed=False), requests=200, slow=200) == ""
    assert see(Guard(GuardPolicy(), timed=False), requests=200, failed=200) != ""


def test_old_requests_are_forgotten():
    guard = Guard(GuardPolicy(min_requests=10))
    see(guard, requests=500)
    assert "of 2" in see(guard, requests=200, failed=30)


@pytest.mark.parametrize("allowed", [0, 2])
def test_guard_one_invalid_answer_rolls_back(allowed):
    guard = Guard(GuardPolicy(invalid=allowed))
    reasons = [guard.see_invalid("no score") for _ in range(allowed + 1)]
    assert reasons[:-1] == [""] * allowed
    assert reasons[-1].startswith("it gave no score")
