import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.errors import UseCaseError
from noria.core.lifecycle.rollout import GuardReport, Rollout, RolloutState, RolloutVersion, assign
from noria.core.lifecycle.rollout_decision import RolloutAction, RolloutComparison, RolloutContext, decide_rollout
from noria.core.use_case import RolloutMode, RolloutPolicy
from noria.testing.builders import a_use_case
from tests.conftest import PROJECT

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


def a_rollout(policy=None, **changes) -> Rollout:
    facts = {
        "id": "parcels/2/1",
        "use_case": "parcels",
        "champion": RolloutVersion(version="1", digest="1" * 64),
        "challenger": RolloutVersion(version="2", digest="2" * 64),
        "policy": RolloutPolicy.model_validate(policy or {}),
        "state": RolloutState.RUNNING,
        "reason": "roc_auc 0.71",
        "actor": "ana",
        "started_at": NOW,
        "since": NOW,
        "changed_at": NOW,
        "requested_by": "ana",
    }
    return Rollout(**(facts | changes))


def turn(rollout, *, after="0s", champion="1", guard=None, rows=1000, idle=False, worse="", better=""):
    now = NOW + RolloutPolicy(bake=after).bake
    return decide_rollout(rollout, RolloutContext(champion, guard, RolloutComparison(worse, better, ""), rows, idle, now))


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_entity_of_a_small_share_stays_in_at_a_larger_one(key, one, other):
    small, large = sorted((one, other))
    assert assign(key, "seed", small) <= assign(key, "seed", large)
    assert assign(key, "seed", small) == assign(key, "seed", small)
    assert not assign(key, "seed", 0)
    assert assign(key, "seed", 100)


@pytest.mark.parametrize("share", [1, 5, 25, 50])
def test_shares_are_kept_and_another_seed_draws_other_keys(share):
    keys = [f"parcel-{number}" for number in range(20_000)]
    one, other = ({key for key in keys if assign(key, seed, share)} for seed in ("a", "b"))
    assert len(one) / len(keys) == pytest.approx(share / 100, abs=0.01)
    assert len(one & other) / len(one) == pytest.approx(share / 100, abs=0.03)


def test_the_assignment_is_what_the_documentation_says():
    """A replay of a log in another language needs exactly this."""
    import hashlib

    drawn = int.from_bytes(hashlib.blake2b(b"parcels/2/1|N14228").digest()[:8], "big") / 2**64
    assert assign("N14228", "parcels/2/1", 100 * drawn + 0.001)
    assert not assign("N14228", "parcels/2/1", 100 * drawn - 0.001)
    assert a_rollout(state=RolloutState.ROLLED_BACK).share == 0


def test_a_document_survives_the_journey_and_an_unknown_field():
    rollout = a_rollout({"shadow": "10m"}, shadow=True)
    assert Rollout.model_validate_json(rollout.model_dump_json()) == rollout
    newer = rollout.model_dump_json()[:-1] + ', "from_a_newer_release": 1}'
    assert Rollout.model_validate_json(newer) == rollout
    assert len(rollout.model_dump_json()) < 4000


def test_a_canary_goes_step_by_step_to_its_promotion():
    rollout = a_rollout()
    assert turn(rollout, after="119s").next is RolloutAction.WAIT
    assert turn(rollout, after="2m").next is RolloutAction.STEP
    assert turn(rollout, after="2m", rows=49).reason == "more requests: it scored 49 of 50 rows in this step"
    assert [a_rollout(step=step).share for step in range(3)] == [5, 25, 100]
    assert turn(a_rollout(step=2), after="2m").next is RolloutAction.FINISH


def test_a_shadow_answers_nobody_and_then_comes_the_first_step():
    rollout = a_rollout({"shadow": "10m"}, shadow=True)
    assert (rollout.share, rollout.next_share) == (0, 5)
    assert turn(rollout, after="9m").next is RolloutAction.WAIT
    assert turn(rollout, after="10m").next is RolloutAction.STEP


def test_harm_ends_it_at_any_step_and_before_time():
    ours = GuardReport(rollout="parcels/2/1", reason="it gave no score", at=NOW)
    others = ours.model_copy(update={"rollout": "parcels/1/1"})
    assert turn(a_rollout(), worse="it loses money").next is RolloutAction.ROLL_BACK
    assert turn(a_rollout(), guard=ours).reason == "serving rolled it back: it gave no score"
    assert turn(a_rollout(state=RolloutState.PAUSED), guard=ours).next is RolloutAction.ROLL_BACK
    assert turn(a_rollout(state=RolloutState.FINISHING), guard=ours).next is RolloutAction.ROLL_BACK
    assert turn(a_rollout(), guard=others).next is RolloutAction.WAIT


def test_a_champion_that_moved_ends_it():
    assert turn(a_rollout(), champion="3").next is RolloutAction.ABORT
    assert turn(a_rollout(), champion="2").next is RolloutAction.COMPLETE
    assert turn(a_rollout(state=RolloutState.FINISHING), champion="2").next is RolloutAction.COMPLETE
    assert turn(a_rollout(state=RolloutState.FINISHING)).next is RolloutAction.FINISH


@pytest.mark.parametrize(
    "state", [RolloutState.PAUSED, RolloutState.ROLLED_BACK, RolloutState.COMPLETED, RolloutState.ABORTED]
)
def test_what_is_paused_or_over_waits(state):
    assert (
        turn(a_rollout(state=state, step=2), after="1d", worse="" if state is RolloutState.PAUSED else "x").next
        is RolloutAction.WAIT
    )


def test_two_shares_are_compared_until_one_wins_or_time_is_over():
    rollout = a_rollout({"mode": "ab", "share": 40, "stop": {"at_most": "7d"}})
    assert rollout.share == 40
    assert turn(rollout, after="6d").next is RolloutAction.WAIT
    assert turn(rollout, better="it is worth more").next is RolloutAction.FINISH
    assert turn(rollout, worse="it is worth less").next is RolloutAction.ROLL_BACK
    assert turn(rollout, after="7d").next is RolloutAction.KEEP_CHAMPION


def test_canary_without_requests_does_not_wait_without_end():
    late = turn(a_rollout({"stop": {"at_most": "7d"}}), after="7d", rows=3)
    assert late.next is RolloutAction.ABORT
    assert "3 of 50 rows" in late.reason


def test_where_nobody_asks_there_is_nobody_to_harm():
    rollout = a_rollout({"idle": "10m"})
    assert turn(rollout, after="10m", rows=3).next is RolloutAction.WAIT
    assert turn(rollout, after="10m", rows=3, idle=True).next is RolloutAction.STEP
    assert turn(rollout, after="10m", rows=3, idle=True).reason == "nobody asked for 10m; 3 rows without harm"
    assert turn(rollout, after="1m", rows=0, idle=True).next is RolloutAction.WAIT
    assert turn(rollout, after="10m", rows=3, idle=True, worse="it loses money").next is RolloutAction.ROLL_BACK
    assert turn(a_rollout({"idle": "10m"}, step=2), after="10m", rows=0, idle=True).next is RolloutAction.FINISH


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"steps": [25, 5]}, "rollout.steps: found [25, 5]; expected rising percentages"),
        ({"steps": [0, 50]}, "rollout.steps"),
        ({"steps": []}, "rollout.steps"),
        ({"bake": 2}, "rollout.bake"),
        ({"shadow": True}, "rollout.shadow"),
        ({"shadow": "40d"}, "rollout.stop.at_most: is over before"),
        ({"idle": "40d"}, "rollout.stop.at_most: is over before rollout.idle is"),
        ({"guards": {}}, "rollout.guards: is not a field; did you mean guard?"),
        ({"guard": {"p99": 3}}, "rollout.guard.p99: is not a field; did you mean p99_ms?"),
        ({"mode": "canry"}, "did you mean canary?"),
    ],
)
def test_a_section_that_makes_no_sense_is_an_error_with_advice(tmp_path, section, message):
    with pytest.raises(UseCaseError) as caught:
        a_use_case(tmp_path, rollout=section)
    assert message in str(caught.value)


def test_the_section_is_optional_and_reads_durations(tmp_path):
    assert a_use_case(tmp_path).rollout is None
    policy = a_use_case(tmp_path, rollout={"shadow": "10m", "steps": [10, 100], "bake": "5m"}).rollout
    assert policy is not None
    assert (policy.shadow_for, policy.bake, policy.shares) == (timedelta(minutes=10), timedelta(minutes=5), (10, 100))


def test_the_examples_of_the_documentation_are_valid(tmp_path):
    text = (PROJECT / "docs" / "rollout.md").read_text(encoding="utf-8")
    sections = [yaml.safe_load(block)["rollout"] for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert len(sections) == 2
    policies = [a_use_case(tmp_path / str(number), rollout=section).rollout for number, section in enumerate(sections)]
    assert policies[0] == RolloutPolicy(shadow=timedelta(minutes=10))  # it shows the defaults
    assert policies[1] == RolloutPolicy(mode=RolloutMode.AB)
