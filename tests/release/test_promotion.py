import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.core.base.errors import ApprovalError, PromotionConflictError, RegistryError
from noria.core.base.results import VersionRef
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome, Stage
from noria.core.model.bundle import Manifest, Provenance
from noria.core.model.signature import Field, Kind, Signature
from noria.io.bundle_files import write_bundle
from noria.release.promotion import promote, reject, roll_back, set_challenger
from noria.testing.builders import a_use_case
from noria.testing.fakes.registry import InMemoryRegistry

AS_OF = {"1": datetime(2024, 5, 1, tzinfo=UTC), "2": datetime(2024, 6, 1, tzinfo=UTC), "3": datetime(2024, 7, 1, tzinfo=UTC)}


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path)


@pytest.fixture
def registry(tmp_path):
    registry = InMemoryRegistry()
    folder, digest = a_bundle(tmp_path / "bundles" / "0", None)
    registry.register_baseline("parcels", folder, digest)
    return registry


def a_bundle(folder: Path, as_of: datetime | None) -> tuple[Path, str]:
    provenance = Provenance(as_of=as_of, snapshot="5" * 64, specification="6" * 64, seed=7) if as_of else None
    manifest = Manifest(
        use_case="parcels",
        kind="rule",
        candidate="linear",
        signature=Signature(fields=(Field(name="hour", kind=Kind.NUMERIC),)),
        threshold=0.5,
        rule="hour >= 18",
        provenance=provenance,
    )
    return folder, write_bundle(folder, manifest, {})


def a_candidate(registry, folder: Path, version: str, *, champion: str = "0", passed: bool = True) -> VersionRef:
    bundle, digest = a_bundle(folder / "bundles" / version, AS_OF[version])
    outcome = GateOutcome(passed=passed, summary="roc_auc 0.71 (baseline 0.55)", judged_against=champion)
    registered = registry.register("parcels", bundle, digest, key=version, params={}, outcome=outcome)
    assert registered.version == version
    return VersionRef(
        version=version,
        bundle_digest=digest,
        run_id=registered.run_id,
        passed=passed,
        summary=outcome.summary,
        champion=champion,
    )


def actions(audit) -> list[tuple[Action, str]]:
    return [(event.action, event.version) for event in audit.events("parcels")]


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


class Killed(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


def killed(*_args: object) -> None:
    raise Killed


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
