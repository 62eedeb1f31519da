"""A second person's yes: who may give it, and what asks for none."""

import pytest

from noria.core.base.errors import ApprovalError
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.release.promotion import promote, roll_back
from noria.testing.builders import a_use_case
from tests.release.candidates import a_candidate


@pytest.fixture
def asked(tmp_path):
    return a_use_case(tmp_path / "asked", approval="manual")


@pytest.mark.parametrize(
    ("actor", "approved_by", "says"),
    [
        ("ana", "", "asks for a second person's yes"),
        ("ana", "ana", "ana both asked for it and approved it"),
        ("ana (command line)", "Ana ", "both asked for it and approved it"),
        ("Anonymous", "Anonymous", "both anonymous, and may be the same"),
    ],
)
def test_without_another_persons_yes_a_promotion_is_refused_and_the_trail_says_who_tried(
    registry, audit, asked, tmp_path, actor, approved_by, says
):
    with pytest.raises(ApprovalError, match=says):
        promote(
            registry,
            audit,
            asked,
            PromotionRequest(a_candidate(registry, tmp_path, "1"), actor=actor, approved_by=approved_by),
        )
    assert (registry.champion("parcels").version, registry.moves) == ("0", [])
    (event,) = audit.events("parcels")
    assert (event.action, event.actor, event.version) == (Action.REFUSED, actor, "1")
    assert says in event.evidence["objection"]


@pytest.mark.parametrize("actor", ["ana", "airflow parcels__train scheduled__2024-05-02"])
def test_with_another_persons_yes_it_becomes_champion_and_the_trail_names_both(registry, audit, asked, tmp_path, actor):
    result = promote(
        registry, audit, asked, PromotionRequest(a_candidate(registry, tmp_path, "1"), actor=actor, approved_by="ben")
    )
    assert result.promoted
    assert [(event.actor, event.approved_by) for event in audit.events("parcels")] == [(actor, "ben")] * 2
    assert audit.verify() == 2


def test_named_approver_is_another_person_even_without_required_approval(registry, audit, use_case, tmp_path):
    candidate = a_candidate(registry, tmp_path, "1")
    with pytest.raises(ApprovalError):
        promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana", approved_by="ana"))
    promote(registry, audit, use_case, PromotionRequest(candidate, actor="ana", approved_by="ben"))
    with pytest.raises(ApprovalError):
        roll_back(registry, audit, use_case, actor="eve", approved_by="eve", reason="complaints")
    assert registry.champion("parcels").version == "1"


def test_a_roll_back_waits_for_nobody(registry, audit, asked, tmp_path):
    promote(registry, audit, asked, PromotionRequest(a_candidate(registry, tmp_path, "1"), actor="ana", approved_by="ben"))
    assert roll_back(registry, audit, asked, actor="ana", reason="it is three in the morning").version == "0"
