"""What the judge says of made-up traffic: a model that is worse, overall or in one segment, and many that are not."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from noria.core.base.formatting import money
from noria.core.lifecycle.rollout import Rollout, RolloutState, RolloutVersion
from noria.core.lifecycle.rollout_decision import RolloutComparison
from noria.core.model.value import DAYS_PER_MONTH
from noria.core.use_case import RolloutPolicy
from noria.rollout.analysis import compare_versions
from noria.rollout.scores import VersionScores, values_in_order
from noria.testing.builders import a_use_case

NOW = datetime(2024, 6, 1, tzinfo=UTC)
PAYOFFS = ([5.0, -1.0, -3.0, 0.0], [0.2, 0.1, 0.1, 0.6])
DEPOTS = ("north", "south", "harbour")


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path)


def a_rollout(champion="1", **policy) -> Rollout:
    return Rollout(
        id="parcels/2/1",
        use_case="parcels",
        champion=RolloutVersion(version=champion, digest="1" * 64),
        challenger=RolloutVersion(version="2", digest="2" * 64),
        policy=RolloutPolicy.model_validate(policy),
        state=RolloutState.RUNNING,
        reason="",
        actor="ana",
        started_at=NOW,
        since=NOW,
        changed_at=NOW,
        requested_by="ana",
    )


def scores(outcomes, entities, money, segments, *, decisions=None, times=None, shadow=False) -> VersionScores:
    """Rows a second apart, unless times are given."""
    rows = len(entities)
    times = np.arange(rows, dtype=float) if times is None else times
    return VersionScores(
        times=times,
        outcomes=outcomes,
        entities=entities,
        decisions=np.zeros(rows, dtype=bool) if decisions is None else decisions,
        money=money,
        known_at=times,
        answered=np.full(rows, not shadow),
        stands_for=np.ones(rows),
        segments=segments,
    )


class Traffic:
    """Requests in order, a second apart, each scored by one of the two."""

    def __init__(self, draw, rows=6000, share=0.25, *, effect=0.0, where=None, shift=0.0):
        self.taken = draw.random(rows) < share
        self.depots = draw.choice(DEPOTS, rows, p=[0.5, 0.3, 0.2])
        hit = self.taken & ((self.depots == where) if where else True)
        self.money = draw.choice(PAYOFFS[0], rows, p=PAYOFFS[1]) + effect * hit
        self.scores = np.clip(draw.beta(2, 5, rows) + shift * self.taken, 0, 1)

    def side(self, ours: bool, until: int) -> VersionScores:
        places = np.flatnonzero(self.taken[:until] == ours)
        return scores(
            self.scores[places].tolist(),
            [f"parcel-{place}" for place in places.tolist()],
            self.money[places],
            {"depot": self.depots[places].tolist()},
            times=places.astype(float),
        )

    def judged(self, use_case, rollout, until) -> RolloutComparison:
        return compare_versions(use_case, rollout, self.side(False, until), self.side(True, until), days=1.0)


@pytest.mark.slow
def test_equal_models_seldom_differ_however_often_one_looks(use_case):
    draw = np.random.default_rng(1)
    rollout, alarms = a_rollout(judge={"quality_drop": 0.0}), 0
    for _ in range(60):
        traffic = Traffic(draw)
        alarms += any(traffic.judged(use_case, rollout, until).worse for until in range(400, 6001, 400))
    assert alarms <= 4  # of 60, at 95 %: 3 expected at most


def test_a_worse_model_is_found_with_its_price(use_case):
    found = Traffic(np.random.default_rng(2), effect=-1.0).judged(use_case, a_rollout(), 6000)
    assert found.worse.startswith("it is worth EUR 1.")
    assert " less per decision than version 1 (surely between EUR −" in found.worse
    assert (
        "; it loses most in depot harbour, EUR 1.45; that is about EUR 2" in found.worse
    )  # 6,000 a day are 182,000 a month, of 1.13 each
    assert found.worse.endswith(" a month")
    assert found.better == ""


def test_the_segment_that_loses_is_named(use_case):
    traffic = Traffic(np.random.default_rng(3), rows=4000, effect=-4.0, where="harbour")
    traffic.money += 1.2 * (traffic.taken & (traffic.depots != "harbour"))  # elsewhere it gains as much
    found = traffic.judged(use_case, a_rollout(), 4000)
    assert found.worse.startswith("in depot harbour it is worth ")
    assert "loses most" not in found.worse


def test_a_loss_that_is_sure_and_small_is_tolerated(use_case):
    traffic = Traffic(np.random.default_rng(4), rows=40_000, share=0.5, effect=-0.2)
    assert traffic.judged(use_case, a_rollout(judge={"quality_drop": 0.0}), 40_000).worse
    assert traffic.judged(use_case, a_rollout(judge={"quality_drop": 0.5}), 40_000).worse == ""


def test_a_better_model_is_found_and_is_no_harm(use_case):
    found = Traffic(np.random.default_rng(5), effect=1.0).judged(use_case, a_rollout(mode="ab"), 6000)
    assert found.worse == ""
    assert found.better.startswith("it is worth ")


def test_scores_that_are_too_different_are_harm_but_not_beside_the_rule(use_case):
    traffic = Traffic(np.random.default_rng(6), shift=0.4)
    found = traffic.judged(use_case, a_rollout(), 6000)
    assert found.worse.startswith("its scores are too different from those of version 1 at the same times: distance 0.")
    assert traffic.judged(use_case, a_rollout(judge={"score_shift": 1.0}), 6000).worse == ""
    assert traffic.judged(use_case, a_rollout(champion="0"), 6000).worse == ""


def test_before_labels_come_nothing_is_said_of_money(use_case):
    traffic = Traffic(np.random.default_rng(7), effect=-5.0)
    traffic.money[:] = np.nan
    found = traffic.judged(use_case, a_rollout(), 6000)
    assert (found.worse, found.better) == ("", "")
    assert found.summary.endswith("of the champion, 0 with a label")


def in_shadow(draw, rows, *, extra=0.1, right=1 / 21):
    """Both have scored every request; the challenger says yes to some more, of which some are right.

    The use case pays 5 for a right yes, -1 for a wrong one, -3 for a missed one: an extra yes that is right is worth 8 more,
    a wrong one costs 1.
    """
    more = draw.random(rows) < extra
    came = np.where(more, draw.random(rows) < right, draw.random(rows) < 0.2)
    yes = ~more & (draw.random(rows) < 0.25)
    entities, depots = [f"parcel-{row}" for row in range(rows)], draw.choice(DEPOTS, rows).tolist()
    outcomes = draw.beta(2, 5, rows).tolist()

    def version(decisions, shadow):
        worth = np.where(decisions, np.where(came, 5.0, -1.0), np.where(came, -3.0, 0.0))
        return scores(outcomes, entities, worth, {"depot": depots}, decisions=decisions, shadow=shadow)

    return version(yes, False), version(yes | more, True)


def test_shadow_is_compared_row_by_row_and_so_needs_few(use_case):
    champion, challenger = in_shadow(np.random.default_rng(8), 3000, extra=0.4, right=0.0)
    found = compare_versions(use_case, a_rollout(), champion, challenger, days=1.0)
    assert "less per decision than version 1" in found.worse
    apart = replace(challenger, entities=[f"other-{row}" for row in range(3000)])
    assert "surely between EUR −" in compare_versions(use_case, a_rollout(), champion, apart, days=1.0).summary


def test_month_of_a_shadow_counts_each_request_once(use_case):
    champion, challenger = in_shadow(np.random.default_rng(8), 6000, extra=0.5, right=0.0)
    found = compare_versions(use_case, a_rollout(), champion, challenger, days=1.0)
    per_decision = challenger.money.mean() - champion.money.mean()
    a_month = money(-per_decision * 6000 * DAYS_PER_MONTH, "EUR")
    assert found.worse.endswith(f"that is about {a_month} a month")


def test_sample_of_the_entities_stands_for_all(use_case):
    champion, challenger = in_shadow(np.random.default_rng(8), 6000, extra=0.5, right=0.0)
    sampled = (replace(side, stands_for=np.full(6000, 4.0)) for side in (champion, challenger))
    found = compare_versions(use_case, a_rollout(), *sampled, days=1.0)
    per_decision = challenger.money.mean() - champion.money.mean()
    assert money(-per_decision * 24_000 * DAYS_PER_MONTH, "EUR") in found.worse


def test_asking_again_and_again_about_one_parcel_is_no_evidence(use_case):
    champion, _ = in_shadow(np.random.default_rng(9), 3000)
    worth, depots = np.full(3000, -3.0), {"depot": ["north"] * 3000}
    same = scores([0.5] * 3000, ["parcel-x"] * 3000, worth, depots)
    unnamed = scores(champion.outcomes, [None] * 3000, worth, depots)
    for one in (same, unnamed):
        found = compare_versions(use_case, a_rollout(), champion, one, days=1.0)
        assert (found.worse, found.better) == ("", "")


def test_order_of_segment_values_is_that_of_their_first_request():
    early = scores([0.1] * 2, ["a", "b"], np.zeros(2), {"depot": ["south", "north"]}, times=np.array([5.0, 6.0]))
    late = scores([0.1] * 2, ["c", "d"], np.zeros(2), {"depot": ["harbour", None]}, times=np.array([1.0, 9.0]))
    assert list(values_in_order(early, late, "depot")) == ["harbour", "south", "north"]
