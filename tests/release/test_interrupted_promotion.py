"""A promotion or a roll-back that was killed is settled by the next call."""

import pytest

from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.release.promotion import promote, reject, roll_back
from noria.testing.fakes.interruption import Killed
from noria.testing.fakes.registry import InMemoryRegistry
from tests.release.candidates import a_candidate, actions, killed


def test_killed_after_the_alias_moved_the_next_call_writes_the_outcome(registry, audit, use_case, tmp_path, monkeypatch):
    candidate = a_candidate(registry, tmp_path, "1")

    def move_and_die(use_case_name: str, version: str) -> None:
        InMemoryRegistry.set_champion(registry, use_case_name, version)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", move_and_die)
        with pytest.raises(Killed):
            promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana", reason="reviewed"))
    assert actions(audit) == [(Action.PROMOTION_INTENDED, "1")]
    assert promote(registry, audit, use_case, PromotionRequest(candidate, actor="retry")).promoted
    assert actions(audit) == [(Action.PROMOTION_INTENDED, "1"), (Action.PROMOTED, "1")]
    assert audit.events()[-1].actor == "ana"
    assert registry.moves == [("parcels", "1")]


def test_killed_before_the_alias_moved_the_next_call_starts_over(registry, audit, use_case, tmp_path, monkeypatch):
    candidate = a_candidate(registry, tmp_path, "1")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", killed)
        with pytest.raises(Killed):
            promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))
    assert promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana")).promoted
    assert [action for action, _ in actions(audit)] == [
        Action.PROMOTION_INTENDED,
        Action.ABANDONED,
        Action.PROMOTION_INTENDED,
        Action.PROMOTED,
    ]


def test_an_interrupted_roll_back_goes_back_one_step_in_all(registry, audit, use_case, tmp_path, monkeypatch):
    promote(registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "1"), actor="ana"))
    promote(registry, audit, use_case, PromotionRequest(a_candidate(registry, tmp_path, "2", champion="1"), actor="ana"))

    def move_and_die(use_case_name: str, version: str) -> None:
        InMemoryRegistry.set_champion(registry, use_case_name, version)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", move_and_die)
        with pytest.raises(Killed):
            roll_back(registry, audit, use_case, actor="ben", reason="complaints")
    again = roll_back(registry, audit, use_case, actor="ben", reason="complaints")
    assert (again.version, again.previous, registry.champion("parcels").version) == ("1", "2", "1")


def test_interrupted_move_is_settled_after_later_events(registry, audit, use_case, tmp_path, monkeypatch):
    candidate = a_candidate(registry, tmp_path, "1")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", killed)
        with pytest.raises(Killed):
            promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana"))
    reject(registry, audit, use_case, "1", actor="ben", reason="no")
    assert promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana")).promoted
    assert [action for action, _ in actions(audit)] == [
        Action.PROMOTION_INTENDED,
        Action.REJECTED,
        Action.ABANDONED,
        Action.PROMOTION_INTENDED,
        Action.PROMOTED,
    ]
