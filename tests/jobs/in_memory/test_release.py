"""Steps that decide whether a version may serve, with every part in memory."""

import pytest

from noria.core.base.errors import ApprovalError, PromotionConflictError, RegistryError
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import Provenance, baseline_manifest
from noria.core.model.signature import Field, Kind, Signature
from noria.io.bundle_files import write_bundle
from noria.jobs import evidence, release
from noria.reports.operations import Operations
from noria.testing.fakes.interruption import Killed
from tests.release.candidates import AS_OF, a_candidate
from tests.reports.made_up import a_bundle as a_trained_bundle
from tests.reports.made_up import a_whole_use_case


@pytest.fixture
def baseline(services, use_case, tmp_path):
    folder = tmp_path / "baseline"
    services.registry.register_baseline("parcels", folder, write_bundle(folder, baseline_manifest(use_case), {}))
    return services.registry.champion("parcels")


@pytest.fixture
def candidate(services, baseline, tmp_path):
    return a_candidate(services.registry, tmp_path, "1")


@pytest.fixture
def asked(candidate):
    return PromotionRequest(candidate, actor="ana", reason="reviewed", allow_breaking=True)


def actions(services):
    return [event.action for event in services.audit.events("parcels")]


def test_promote_makes_it_champion_and_twice_moves_once(services, use_case, asked):
    first, again = (release.promote(services, use_case, asked) for _ in range(2))
    assert (first.promoted, first.previous, again.reason) == (True, "0", "version 1 is champion already")
    assert services.registry.moves == [("parcels", "1")]
    assert actions(services) == [Action.PROMOTION_INTENDED, Action.PROMOTED]


def test_promote_of_a_version_that_breaks_apps_is_refused_until_it_is_allowed(services, use_case, baseline, tmp_path):
    needs_more = Signature(fields=(Field(name="volume", kind=Kind.NUMERIC, required=True),))
    provenance = Provenance(as_of=AS_OF["1"], snapshot="5" * 64, specification="6" * 64, seed=7)
    manifest = baseline_manifest(use_case).model_copy(update={"signature": needs_more, "provenance": provenance})
    outcome = GateOutcome(passed=True, summary="", judged_against="0")
    folder = tmp_path / "needs more"
    digest = write_bundle(folder, manifest, {})
    version = services.registry.register("parcels", folder, digest, key="1", params={}, outcome=outcome)
    refused = release.promote(services, use_case, PromotionRequest(version.reference(), actor="ana"))
    assert (refused.promoted, "--allow-breaking" in refused.reason) == (False, True)
    allowed = PromotionRequest(version.reference(), actor="ana", allow_breaking=True)
    assert release.promote(services, use_case, allowed).promoted


def test_promote_without_the_approval_that_is_asked_for_is_refused(services, use_case, asked):
    manual = use_case.model_copy(update={"approval": "manual"})
    with pytest.raises(ApprovalError):
        release.promote(services, manual, asked)
    assert (services.registry.moves, actions(services)) == ([], [Action.REFUSED])


def test_promote_after_the_champion_moved_is_a_conflict(services, use_case, asked, tmp_path):
    release.promote(services, use_case, asked)
    second = a_candidate(services.registry, tmp_path, "2")
    with pytest.raises(PromotionConflictError):
        release.promote(services, use_case, PromotionRequest(second, actor="ana", allow_breaking=True))


def test_promote_killed_after_the_alias_moved_is_written_down_by_the_next_call(services, use_case, asked):
    services.audit.killed_at = {Action.PROMOTED}
    with pytest.raises(Killed):
        release.promote(services, use_case, asked)
    assert services.registry.champion("parcels").version == "1"
    assert release.promote(services, use_case, asked).promoted
    assert actions(services) == [Action.PROMOTION_INTENDED, Action.PROMOTED]


def test_roll_back_goes_to_the_version_before_and_then_has_nothing_to_do(services, use_case, asked):
    release.promote(services, use_case, asked)
    done = release.roll_back(services, use_case, actor="ben", reason="complaints")
    assert (done.promoted, done.version, done.previous) == (True, "0", "1")
    assert not release.roll_back(services, use_case, actor="ben", reason="complaints").promoted


def test_roll_back_killed_before_its_event_goes_one_step_in_all(services, use_case, asked):
    release.promote(services, use_case, asked)
    services.audit.killed_at = {Action.ROLLED_BACK}
    with pytest.raises(Killed):
        release.roll_back(services, use_case, actor="ben", reason="complaints")
    assert release.roll_back(services, use_case, actor="ben", reason="complaints").version == "0"
    assert services.registry.moves == [("parcels", "1"), ("parcels", "0")]


def test_set_challenger_and_reject_twice_write_one_event_each(services, use_case, candidate):
    for _ in range(2):
        release.set_challenger(services, use_case, candidate, actor="a task")
    assert services.registry.alias_state("parcels").challenger == "1"
    for _ in range(2):
        release.reject(services, use_case, candidate, actor="ben", reason="odd answers")
    assert services.registry.alias_state("parcels").challenger == "0"
    assert actions(services) == [Action.NOMINATED, Action.REJECTED]


def test_set_challenger_killed_before_its_event_is_written_down_by_the_next_call(services, use_case, candidate):
    services.audit.killed_at = {Action.NOMINATED}
    with pytest.raises(Killed):
        release.set_challenger(services, use_case, candidate, actor="a task")
    release.set_challenger(services, use_case, candidate, actor="a task")
    assert actions(services) == [Action.NOMINATED]


def test_rehearse_moves_a_scratch_model_alone_and_can_be_repeated(services, use_case, candidate):
    first, again = (release.rehearse(services, use_case, actor="ana") for _ in range(2))
    assert (first.version, first.scratch) == (again.version, again.scratch) == ("1", "rehearsal_of_parcels")
    assert services.registry.champion("parcels").version == "0"
    assert actions(services) == [Action.REHEARSED] * 2


def test_rehearse_killed_halfway_is_cleared_by_the_next_call(services, use_case, candidate):
    services.audit.killed_at = {Action.ROLL_BACK_INTENDED}
    with pytest.raises(Killed):
        release.rehearse(services, use_case, actor="ana")
    assert services.registry.champion("rehearsal_of_parcels").version == "1"
    assert len(release.rehearse(services, use_case, actor="ana").steps) == 2


def test_rehearse_without_a_trained_version_is_refused(services, use_case, baseline):
    with pytest.raises(RegistryError, match="no trained version to rehearse"):
        release.rehearse(services, use_case, actor="ana")


@pytest.fixture
def trained(services, tmp_path):
    """A use case with a trained version that has a report."""
    use_case = a_whole_use_case(tmp_path / "whole", name="parcels")
    folder = tmp_path / "baseline"
    services.registry.register_baseline("parcels", folder, write_bundle(folder, baseline_manifest(use_case), {}))
    bundle, digest = a_trained_bundle(tmp_path / "trained", "parcels")
    outcome = GateOutcome(passed=True, summary="", judged_against="0")
    services.registry.register("parcels", bundle, digest, key="1", params={}, outcome=outcome)
    return use_case


def test_checklist_takes_the_newest_version_and_what_it_has_done(services, trained):
    version, before = evidence.checklist(services, trained)
    services.history.done["parcels", "1"] = Operations(verdicts={"quality_loss": 2})
    after = evidence.checklist(services, trained)[1]
    assert version.version == "1"
    changed = [now for was, now in zip(before, after, strict=True) if was != now]
    assert any("2 lost quality" in line.evidence for line in changed)


def test_write_card_twice_writes_the_same_page(services, trained):
    path = evidence.write_card(services, trained)
    page = path.read_bytes()
    assert evidence.write_card(services, trained) == path
    assert path.read_bytes() == page


def test_checklist_of_the_baseline_is_refused(services, trained):
    with pytest.raises(RegistryError, match="has no card; train a version first"):
        evidence.checklist(services, trained, "0")
