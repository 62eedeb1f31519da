"""Rollouts: what is done, what is written down, and what a kill or a second caller leaves."""

import threading

import pytest

from noria.core.base.errors import ApprovalError, PromotionConflictError, RolloutError
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import Stage
from noria.core.lifecycle.rollout import GuardReport, RolloutState
from noria.core.lifecycle.rollout_decision import RolloutComparison
from noria.release.promotion import promote, roll_back
from noria.rollout.controller import RolloutController
from noria.testing.builders import a_use_case
from noria.testing.clock import TickingClock
from noria.testing.fakes.registry import InMemoryRegistry
from tests.release.candidates import Killed, a_bundle, a_candidate

FINE = RolloutComparison(summary="no harm")
STEPS = {"steps": [5, 25], "bake": "2m"}


@pytest.fixture
def clock():
    return TickingClock()


@pytest.fixture
def registry(tmp_path):
    registry = InMemoryRegistry()
    registry.register_baseline("parcels", *a_bundle(tmp_path / "bundles" / "0", None))
    return registry


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path, rollout=STEPS)


@pytest.fixture
def moves(registry, audit, clock, use_case):
    return RolloutController(registry, audit, clock, use_case, "ana")


@pytest.fixture
def candidate(registry, tmp_path):
    return a_candidate(registry, tmp_path, "1")


def actions(audit):
    return [event.action.removeprefix("rollout_") for event in audit.events("parcels")]


def advance(moves, clock=None, comparison=FINE, rows=1000):
    """One turn; with a clock, after the time of a step."""
    if clock is not None:
        clock.advance(minutes=2)
    return moves.advance(moves.current(), comparison, rows)


def test_from_the_first_share_to_the_promotion(moves, registry, audit, clock, candidate):
    begun = moves.start(PromotionRequest(candidate, actor="ana", reason="trained as of May"))
    assert (begun.share, begun.champion.version, begun.challenger.version) == (5, "0", "1")
    assert registry.version("parcels", "1").stage is Stage.CHALLENGER
    assert advance(moves).waiting_for.startswith("the time of this step")
    assert advance(moves, clock).rollout.share == 25
    won = advance(moves, clock).rollout
    assert (won.state, won.promoted, registry.champion("parcels").version) == (RolloutState.COMPLETED, True, "1")
    assert actions(audit) == ["started", "stepped", "won", "promotion_intended", "promoted", "completed"]
    promoted = audit.events("parcels")[4]
    assert (promoted.actor, promoted.reason, promoted.version) == ("ana", "no harm", "1")
    assert advance(moves, clock).rollout == won
    assert audit.verify() == 6


def test_every_call_again_changes_nothing(moves, registry, audit, clock, candidate):
    assert moves.start(PromotionRequest(candidate, actor="ana")) == moves.start(PromotionRequest(candidate, actor="ana"))
    advance(moves, clock)
    assert advance(moves).rollout.step == 1
    assert moves.start(PromotionRequest(candidate, actor="ana")).step == 1  # a cleared task finds the rollout that goes on
    paused = moves.pause("lunch")
    assert moves.pause("lunch") == paused
    aborted = moves.abort("enough")
    assert moves.abort("enough") == aborted
    assert actions(audit) == ["started", "stepped", "paused", "aborted"]


def test_a_pause_holds_it_and_the_step_begins_again(moves, clock, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    moves.pause("a holiday")
    assert advance(moves, clock).waiting_for == "paused: a holiday"
    moves.resume("back again")
    assert advance(moves).rollout.step == 0
    assert advance(moves, clock).rollout.step == 1


@pytest.mark.parametrize("cause", ["judge", "guard", "person"])
def test_champion_stays_and_no_challenger_waits_after_every_kind_of_end(moves, registry, audit, clock, candidate, cause):
    begun = moves.start(PromotionRequest(candidate, actor="ana"))
    if cause == "judge":
        advance(moves, comparison=RolloutComparison(worse="in depot north it loses 3 EUR"))
    elif cause == "guard":
        registry.guard_reports["parcels"] = GuardReport(rollout=begun.id, reason="it gave no score", at=clock.now())
        advance(moves)
    else:
        moves.abort("odd answers")
    assert registry.alias_state("parcels").champion == registry.alias_state("parcels").challenger == "0"
    ended = moves.current()
    assert (ended.share, ended.is_live) == (0, False)
    assert actions(audit)[-1] == ("aborted" if cause == "person" else "taken_back")
    assert audit.events("parcels")[-1].reason == ended.reason
    assert registry.moves == []


def test_rolled_back_version_does_not_return_by_itself(moves, registry, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    advance(moves, comparison=RolloutComparison(worse="it loses money"))
    with pytest.raises(RolloutError, match=r"did not get through its last rollout \(it loses money\)"):
        moves.start(PromotionRequest(candidate, actor="ana"))
    again = moves.start(PromotionRequest(candidate, actor="ana", reason="the labels were wrong", allow_retired=True))
    assert again.is_live


def test_a_version_that_was_rolled_back_after_its_rollout_does_not_return_either(
    moves, registry, audit, clock, use_case, candidate
):
    moves.start(PromotionRequest(candidate, actor="ana"))
    advance(moves, clock)
    won = advance(moves, clock).rollout
    assert moves.start(PromotionRequest(candidate, actor="ana")) == won  # a task that is repeated
    roll_back(registry, audit, use_case, actor="ben", reason="complaints")
    with pytest.raises(RolloutError, match="does not return by itself"):
        moves.start(PromotionRequest(candidate, actor="ana"))


def test_one_rollout_at_a_time(moves, registry, tmp_path, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    with pytest.raises(
        RolloutError, match=r"version 1 of parcels is being rolled out: wait for it, or `noria rollout abort"
    ):
        moves.start(PromotionRequest(a_candidate(registry, tmp_path, "2"), actor="ana"))


def test_what_may_not_be_promoted_is_not_tried(moves, registry, audit, tmp_path, candidate):
    with pytest.raises(RolloutError, match="gate failed"):
        moves.start(PromotionRequest(a_candidate(registry, tmp_path, "2", passed=False), actor="ana"))
    with pytest.raises(RolloutError, match="apps that version 0 answers would not"):
        moves.start(PromotionRequest(candidate, actor="ana"), breaking_changes=("hour is required",))
    with pytest.raises(PromotionConflictError, match="compared with champion 5"):
        moves.start(PromotionRequest(candidate.model_copy(update={"champion": "5"}), actor="ana"))
    assert audit.events("parcels") == ()
    assert registry.rollout("parcels") is None


def test_a_use_case_without_the_section_has_no_rollout(registry, audit, clock, tmp_path, candidate):
    moves = RolloutController(registry, audit, clock, a_use_case(tmp_path / "plain"), "ana")
    with pytest.raises(RolloutError, match="has no section rollout"):
        moves.start(PromotionRequest(candidate, actor="ana"))
    with pytest.raises(RolloutError, match="has no rollout"):
        moves.current()


def test_a_second_person_is_asked_for_before_anybody_is_answered(registry, audit, clock, tmp_path, candidate):
    use_case = a_use_case(tmp_path / "manual", rollout=STEPS, approval="manual")
    moves = RolloutController(registry, audit, clock, use_case, "ana")
    for approved_by in ("", "ana"):
        with pytest.raises(ApprovalError):
            moves.start(PromotionRequest(candidate, actor="ana", approved_by=approved_by))
    assert registry.rollout("parcels") is None
    moves.start(PromotionRequest(candidate, actor="ana", approved_by="ben"))
    for _ in range(2):
        advance(RolloutController(registry, audit, clock, use_case, "a scheduled task"), clock)
    assert registry.champion("parcels").version == "1"
    assert actions(audit) == [
        *("refused", "refused", "started", "stepped", "won", "promotion_intended", "promoted", "completed")
    ]
    assert [event.approved_by for event in audit.events("parcels")[2:]] == ["ben"] * 6
    assert audit.events("parcels")[6].actor == "ana"


def test_a_champion_that_moves_meanwhile_ends_it(moves, registry, audit, clock, use_case, tmp_path, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    promote(
        registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "2"), actor="ben", reason="it is urgent")
    )
    ended = advance(moves, clock).rollout
    assert (ended.state, ended.reason) == (RolloutState.ABORTED, "version 2 became champion meanwhile")
    assert registry.champion("parcels").version == "2"


def test_promoted_by_hand_in_the_middle_it_is_completed(moves, registry, audit, use_case, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    promote(registry, audit, use_case, PromotionRequest(candidate, actor="ben", reason="no time"))
    ended = advance(moves).rollout
    assert (ended.state, ended.promoted) == (RolloutState.COMPLETED, True)


def test_a_winner_that_may_not_be_promoted_any_more_is_aborted(registry, audit, clock, tmp_path, candidate):
    use_case = a_use_case(tmp_path / "one", rollout={**STEPS, "steps": [50]})
    RolloutController(registry, audit, clock, use_case, "ana").start(PromotionRequest(candidate, actor="ana"))
    stricter = use_case.model_copy(update={"approval": a_use_case(tmp_path / "two", approval="manual").approval})
    ended = advance(RolloutController(registry, audit, clock, stricter, "ana"), clock).rollout
    assert ended.state is RolloutState.ABORTED
    assert "--approved-by" in ended.reason
    assert registry.champion("parcels").version == "0"


def test_no_difference_keeps_the_champion(registry, audit, clock, tmp_path, candidate):
    use_case = a_use_case(tmp_path / "ab", rollout={"mode": "ab", "share": 50, "stop": {"at_most": "1d"}})
    moves = RolloutController(registry, audit, clock, use_case, "ana")
    assert moves.start(PromotionRequest(candidate, actor="ana")).share == 50
    clock.advance(days=1)
    ended = advance(moves).rollout
    assert (ended.state, ended.promoted, registry.moves) == (RolloutState.COMPLETED, False, [])
    assert registry.alias_state("parcels").challenger == "0"


def test_better_in_a_comparison_is_promoted(registry, audit, clock, tmp_path, candidate):
    use_case = a_use_case(tmp_path / "ab", rollout={"mode": "ab", "share": 50})
    moves = RolloutController(registry, audit, clock, use_case, "ana")
    moves.start(PromotionRequest(candidate, actor="ana"))
    assert advance(moves, comparison=RolloutComparison(better="it is worth 2 EUR more")).rollout.promoted


def test_killed_between_document_and_event_the_next_call_writes_the_event(moves, audit, clock, candidate, monkeypatch):
    moves.start(PromotionRequest(candidate, actor="ana"))

    def killed(*_args, **_more):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(audit), "append", killed)
        with pytest.raises(Killed):
            advance(moves, clock)
    assert (moves.current().step, actions(audit)) == (1, ["started"])
    advance(moves)
    assert actions(audit) == ["started", "stepped"]
    assert audit.events("parcels")[-1].reason == "no harm"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_promotion_the_next_call_ends_it(moves, registry, audit, clock, candidate, monkeypatch, when):
    moves.start(PromotionRequest(candidate, actor="ana"))
    advance(moves, clock)

    def die(name, version):
        if when == "after":
            InMemoryRegistry.set_champion(registry, name, version)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", die)
        with pytest.raises(Killed):
            advance(moves, clock)
    assert moves.current().state is RolloutState.FINISHING
    with pytest.raises(RolloutError, match="it cannot be paused"):
        moves.pause("wait")
    advance(moves)
    assert (moves.current().state, registry.champion("parcels").version) == (RolloutState.COMPLETED, "1")
    assert registry.moves == [("parcels", "1")]
    assert actions(audit).count("completed") == 1


def test_of_many_at_once_one_takes_the_step(moves, registry, audit, clock, use_case, candidate):
    moves.start(PromotionRequest(candidate, actor="ana"))
    clock.advance(minutes=2)
    seen, barrier = moves.current(), threading.Barrier(4)

    def run():
        barrier.wait()
        moves.advance(seen, FINE, 1000)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert moves.current().step == 1
    assert actions(audit) == ["started", "stepped"]
    assert Action.ROLLOUT_STEPPED in {event.action for event in audit.events("parcels")}
