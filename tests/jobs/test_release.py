"""Evidence, card, checklist and rehearsal as Airflow and the command line call them, on real PostgreSQL and MLflow."""

import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.errors import RegistryError
from noria.core.base.results import SnapshotRef, VersionRef
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.check_line import CheckState
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import EVALUATION, baseline_manifest
from noria.core.model.signature import Field, Kind, Signature
from noria.io.bundle_files import write_bundle
from noria.jobs import evidence, release
from noria.reports.model_card_files import read_card
from noria.settings import Settings
from noria.training.bundle.build import ModelBundle
from tests.reports.made_up import JUNE, SNAPSHOT, a_bundle, a_manifest, a_report, a_whole_use_case, judged


@pytest.fixture
def services(warehouse_url: str, mlflow_url: str, tmp_path) -> Iterator[Services]:
    services = bootstrap(Settings(home=tmp_path, warehouse_url=SecretStr(warehouse_url), mlflow_url=mlflow_url))
    yield services
    services.warehouse.close()


@pytest.fixture
def use_case(services, tmp_path):
    use_case = a_whole_use_case(tmp_path, name=f"parcels_{uuid.uuid4().hex[:8]}", approval="manual")
    folder = tmp_path / "rule"
    digest = write_bundle(folder, baseline_manifest(use_case), {"golden.json": b"[]"})
    services.registry.register_baseline(use_case.name, folder, digest)
    return use_case


def train(services, use_case, tmp_path, *, with_evidence: bool = True) -> VersionRef:
    """Stands in for training: a bundle, its evidence where asked for, registered."""
    bundle, digest = a_bundle(tmp_path / "bundle", use_case.name)
    gates = judged(use_case)
    snapshot = SnapshotRef(digest=SNAPSHOT, path="s.parquet", as_of=JUNE.isoformat(), rows=50_000, positives=12_000)
    fitted = ModelBundle(bundle, digest, a_report(), {"max_depth": "6"})
    request = evidence.EvidenceRequest(use_case, snapshot, fitted, gates, {"python": "3.11"}, tmp_path / "evidence")
    pages = evidence.write_evidence(services, request)
    outcome = GateOutcome(passed=True, summary="roc_auc 0.71", judged_against="0")
    version = services.registry.register(
        use_case.name, bundle, digest, key="1", params={}, outcome=outcome, evidence=pages if with_evidence else None
    )
    return VersionRef(
        version=version.version,
        bundle_digest=digest,
        run_id=version.run_id,
        passed=True,
        summary="roc_auc 0.71",
        champion="0",
    )


def states(services, use_case, what: str) -> CheckState:
    _, lines = evidence.checklist(services, use_case)
    (found,) = (line for line in lines if what in line.what)
    return found.state


def test_a_version_goes_from_training_to_a_card_that_says_who_approved_it(services, use_case, tmp_path):
    candidate = train(services, use_case, tmp_path)
    assert {path.name for path in (tmp_path / "evidence").iterdir()} == {"card.html", "card.json", "evaluation.html"}
    release.set_challenger(services, use_case, candidate, actor="ana")
    assert states(services, use_case, "approval that is needed") is CheckState.NOT_YET
    assert states(services, use_case, "traced back") is CheckState.NO  # nothing was ingested
    release.promote(services, use_case, PromotionRequest(candidate, actor="ana", approved_by="ben", reason="reviewed"))
    assert states(services, use_case, "approval that is needed") is CheckState.YES

    page = evidence.write_card(services, use_case)
    assert {path.name for path in page.parent.iterdir()} == {"card.html", "card.json", "evaluation.html"}
    card = read_card(page.parent)
    assert card is not None
    assert (card.version, card.lineage.snapshot, card.params) == ("1", SNAPSHOT, {"max_depth": "6"})
    assert [line.action for line in card.history] == [Action.NOMINATED, Action.PROMOTED]
    assert "approved by ben" in page.read_text(encoding="utf-8")


def test_a_version_that_would_break_apps_is_refused_until_somebody_allows_it(services, use_case, tmp_path):
    plain = a_manifest(use_case.name)
    weight = Field(name="weight", kind=Kind.NUMERIC, required=True)  # the use case lets apps leave it out
    demanding = plain.model_copy(update={"signature": Signature(fields=(*plain.signature.fields, weight))})
    folder = tmp_path / "demanding"
    digest = write_bundle(folder, demanding, {EVALUATION: a_report().model_dump_json().encode()})
    outcome = GateOutcome(passed=True, summary="roc_auc 0.71", judged_against="0")
    version = services.registry.register(use_case.name, folder, digest, key="2", params={}, outcome=outcome)
    candidate = VersionRef(
        version=version.version, bundle_digest=digest, run_id=version.run_id, passed=True, summary="", champion="0"
    )
    refused = release.promote(services, use_case, PromotionRequest(candidate, actor="ana", approved_by="ben"))
    assert not refused.promoted
    assert "weight would have to be sent" in refused.reason
    assert "--allow-breaking" in refused.reason
    assert services.registry.champion(use_case.name).version == "0"
    assert release.promote(
        services, use_case, PromotionRequest(candidate, actor="ana", approved_by="ben", allow_breaking=True)
    ).promoted


def test_a_version_registered_without_evidence_gets_a_card_from_its_bundle(services, use_case, tmp_path):
    train(services, use_case, tmp_path, with_evidence=False)
    page = evidence.write_card(services, use_case, "1")
    card = read_card(page.parent)
    assert card is not None
    assert (card.lineage, card.report.rows, len(card.gates)) == (None, 12_000, 5)
    assert (page.parent / "evaluation.html").exists()


def test_a_rehearsal_moves_a_real_alias_and_leaves_the_champion_alone(services, use_case, tmp_path):
    candidate = train(services, use_case, tmp_path)
    release.promote(services, use_case, PromotionRequest(candidate, actor="ana", approved_by="ben"))
    assert states(services, use_case, "roll-back") is CheckState.NOT_YET
    for _ in range(2):
        rehearsal = release.rehearse(services, use_case, actor="ana")
    assert rehearsal.steps == (
        "promoted: version 1 serves, its files are whole",
        "rolled back: version 0 serves, its files are whole",
    )
    assert states(services, use_case, "roll-back") is CheckState.YES
    scratch = [event.action for event in services.audit.events(rehearsal.scratch)]
    assert scratch == [Action.PROMOTION_INTENDED, Action.PROMOTED, Action.ROLL_BACK_INTENDED, Action.ROLLED_BACK] * 2
    assert services.registry.champion(use_case.name).version == "1"
    assert services.registry.champion(rehearsal.scratch).version == "0"
    assert services.audit.version_in_force(use_case.name, JUNE) == "1"


def test_a_rehearsal_that_was_killed_half_way_is_cleared_by_the_next(services, use_case, tmp_path):
    train(services, use_case, tmp_path)
    rehearsal = release.rehearse(services, use_case, actor="ana")
    services.registry.set_champion(rehearsal.scratch, "1")
    assert release.rehearse(services, use_case, actor="ana").steps == rehearsal.steps
    assert services.registry.champion(rehearsal.scratch).version == "0"


def test_the_rule_has_no_card_and_nothing_to_rehearse_with(services, use_case):
    with pytest.raises(RegistryError, match="has no card; train a version first"):
        evidence.write_card(services, use_case)
    with pytest.raises(RegistryError, match="has no trained version to rehearse with"):
        release.rehearse(services, use_case, actor="ana")
