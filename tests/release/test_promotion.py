"""A candidate becomes champion, is refused, waits as challenger, or goes back."""

import threading

import pytest

from noria.core.base.errors import PromotionConflictError, RegistryError
from noria.core.base.results import VersionRef
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import Stage
from noria.release.promotion import promote, reject, roll_back, set_challenger
from tests.release.candidates import AS_OF, a_candidate, actions


def test_a_good_candidate_becomes_champion_and_the_trail_says_who_and_why(registry, audit, use_case, tmp_path):
    candidate = a_candidate(registry, tmp_path, "1")
    result = promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana", reason="reviewed"))
    assert (result.promoted, result.version, result.previous) == (True, "1", "0")
    assert registry.champion("parcels").version == "1"
    intent, done = audit.events("parcels")
    assert (intent.action, done.action) == (Action.PROMOTION_INTENDED, Action.PROMOTED)
    assert (done.actor, done.reason, done.previous, done.as_of) == ("ana", "reviewed", "0", AS_OF["1"])
    assert done.evidence["bundle_digest"] == candidate.bundle_digest
    assert audit.version_in_force("parcels", AS_OF["2"]) == "1"


def test_promoting_twice_is_harmless(registry, audit, use_case, tmp_path):
    candidate = a_candidate(registry, tmp_path, "1")
    promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))
    again = promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))
    assert (again.promoted, again.reason) == (True, "version 1 is champion already")
    assert (len(audit.events()), registry.moves) == (2, [("parcels", "1")])


def test_candidate_with_a_failed_gate_is_refused(registry, audit, use_case, tmp_path):
    result = promote(
        registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "1", passed=False), actor="ana")
    )
    assert not result.promoted
    assert "gate failed: roc_auc 0.71" in result.reason
    assert (registry.champion("parcels").version, audit.events()) == ("0", ())


@pytest.mark.parametrize("forged", [{"passed": True}, {"bundle_digest": "7" * 64}])
def test_what_the_registry_says_counts_not_what_was_handed_on(registry, audit, use_case, tmp_path, forged):
    candidate = a_candidate(registry, tmp_path, "1", passed="bundle_digest" in forged)
    result = promote(registry, audit, use_case, PromotionRequest(candidate.model_copy(update=forged), actor="eve"))
    assert not result.promoted
    assert registry.moves == []


def test_a_champion_that_moved_meanwhile_is_a_conflict(registry, audit, use_case, tmp_path):
    first, second = (a_candidate(registry, tmp_path, version, champion="0") for version in "12")
    promote(registry, audit, use_case, PromotionRequest(first, actor="ana"))
    with pytest.raises(PromotionConflictError, match="compared with champion 0, but 1 serves now"):
        promote(registry, audit, use_case, PromotionRequest(second, actor="ben"))
    assert registry.champion("parcels").version == "1"


def test_of_many_at_once_one_wins_and_the_others_see_a_conflict(registry, audit, use_case, tmp_path):
    candidates = [a_candidate(registry, tmp_path, version, champion="0") for version in "123"]
    barrier = threading.Barrier(3)
    outcomes: list[str] = []

    def run(candidate: VersionRef) -> None:
        barrier.wait()
        try:
            outcomes.append(promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana")).version)
        except PromotionConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=run, args=(candidate,)) for candidate in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("conflict") == 2
    (winner,) = set(outcomes) - {"conflict"}
    assert registry.moves == [("parcels", winner)]
    assert audit.verify() == 2


def test_rolled_back_version_does_not_return_when_its_run_is_repeated(registry, audit, use_case, tmp_path):
    candidate = a_candidate(registry, tmp_path, "1")
    promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))
    roll_back(registry, audit, use_case, actor="ben", reason="complaints")
    again = promote(registry, audit, use_case, PromotionRequest(candidate, actor="a repeated run"))
    assert (again.promoted, registry.champion("parcels").version) == (False, "0")
    assert "does not return by itself" in again.reason
    assert "noria promote parcels 1 --reason" in again.reason


def test_person_may_bring_back_a_rolled_back_version(registry, audit, use_case, tmp_path):
    first, second = a_candidate(registry, tmp_path, "1"), a_candidate(registry, tmp_path, "2", champion="1")
    promote(registry, audit, use_case, PromotionRequest(first, actor="ana"))
    promote(registry, audit, use_case, PromotionRequest(second, actor="ana"))
    with pytest.raises(PromotionConflictError, match="compared with champion 0"):
        promote(registry, audit, use_case, PromotionRequest(first, actor="ana", reason="it was better", allow_retired=True))
    roll_back(registry, audit, use_case, actor="ben", reason="complaints")
    back = promote(
        registry,
        audit,
        use_case,
        PromotionRequest(second, actor="ana", reason="they were about another app", allow_retired=True),
    )
    assert (back.promoted, registry.champion("parcels").version) == (True, "2")
    assert audit.version_in_force("parcels", AS_OF["3"]) == "2"
    assert roll_back(registry, audit, use_case, actor="ben", reason="complaints").version == "1"


def test_rolling_back_goes_one_step_and_ends_at_the_rule(registry, audit, use_case, tmp_path):
    promote(registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "1"), actor="ana"))
    promote(registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "2", champion="1"), actor="ana"))
    steps = [roll_back(registry, audit, use_case, actor="ben", reason="complaints") for _ in range(3)]
    assert [(step.promoted, step.version, step.previous) for step in steps] == [
        (True, "1", "2"),
        (True, "0", "1"),
        (False, "0", "0"),
    ]
    assert audit.version_in_force("parcels", AS_OF["3"]) == "0"
    assert audit.verify() == 8


def test_an_alias_moved_past_noria_is_written_down(registry, audit, use_case, tmp_path):
    promote(registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "1"), actor="ana"))
    candidate = a_candidate(registry, tmp_path, "2", champion="1")
    registry.set_champion("parcels", "2")  # somebody in the registry's own pages
    assert promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana")).promoted
    assert actions(audit)[-1] == (Action.FOUND_MOVED, "2")
    assert audit.version_in_force("parcels", AS_OF["3"]) == "2"
    assert roll_back(registry, audit, use_case, actor="ana", reason="not ours").version == "1"


def test_an_unknown_version_is_an_error(registry, audit, use_case, tmp_path):
    candidate = a_candidate(registry, tmp_path, "1").model_copy(update={"version": "9"})
    with pytest.raises(RegistryError, match="no version 9"):
        promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))


def test_a_candidate_waits_as_challenger_until_it_is_champion_or_rejected(registry, audit, use_case, tmp_path):
    first = a_candidate(registry, tmp_path, "1")
    for _ in range(2):
        set_challenger(registry, audit, use_case, "1", actor="ana", reason="its gates passed")
    assert registry.version("parcels", "1").stage is Stage.CHALLENGER
    assert actions(audit) == [(Action.NOMINATED, "1")]
    promote(registry, audit, use_case, PromotionRequest(first, actor="ana"))
    a_candidate(registry, tmp_path, "2", champion="1")
    set_challenger(registry, audit, use_case, "1", actor="ana", reason="again")  # champion by now: nothing to do
    set_challenger(registry, audit, use_case, "2", actor="ana", reason="its gates passed")
    assert (registry.alias_state("parcels").champion, registry.alias_state("parcels").challenger) == ("1", "2")
    reject(registry, audit, use_case, "2", actor="ben", reason="Newark looks odd")
    assert registry.alias_state("parcels").challenger == "0"
    last = audit.events("parcels")[-1]
    assert (last.action, last.version, last.previous, last.actor, last.reason) == (
        Action.REJECTED,
        "2",
        "1",
        "ben",
        "Newark looks odd",
    )
    assert audit.version_in_force("parcels", AS_OF["3"]) == "1"
