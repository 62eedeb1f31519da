"""The contract of the ModelRegistry port, held against the fake and against a real MLflow server."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import EVIDENCE, AliasState, GateOutcome, Stage
from noria.core.lifecycle.rollout import ROLLOUT_TAG, GuardReport, Rollout, RolloutState, RolloutVersion
from noria.core.model.bundle import MANIFEST, Manifest, Provenance
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import RolloutPolicy
from noria.io.bundle_files import write_bundle
from noria.ports.model_registry import ModelRegistry
from noria.registry.mlflow_registry import MlflowRegistry
from noria.testing.fakes.registry import InMemoryRegistry
from serving.models.registry_client import RegistryClient, RegistryView

OUTCOME = GateOutcome(passed=True, summary="roc_auc 0.71 (baseline 0.55)", judged_against="0")
AS_OF = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", pytest.param("mlflow", marks=pytest.mark.server)])
def registry(request: pytest.FixtureRequest) -> ModelRegistry:
    if request.param == "memory":
        return InMemoryRegistry()
    return MlflowRegistry(request.getfixturevalue("mlflow_url"))


@pytest.fixture
def use_case() -> str:
    return f"parcels_{uuid.uuid4().hex[:8]}"


def a_bundle(folder: Path, use_case: str, *, rule: str = "hour >= 18", trained: bool = False) -> tuple[Path, str]:
    provenance = Provenance(as_of=AS_OF, snapshot="5" * 64, specification="6" * 64, seed=7) if trained else None
    manifest = Manifest(
        use_case=use_case,
        kind="rule",
        candidate="linear" if trained else "baseline",
        signature=Signature(fields=(Field(name="hour", kind=Kind.NUMERIC),)),
        threshold=0.5,
        rule=rule,
        provenance=provenance,
        metrics={"roc_auc": 0.71} if trained else {},
    )
    return folder, write_bundle(folder, manifest, {"golden.json": b"[]"})


def register_trained(
    registry: ModelRegistry,
    folder: Path,
    use_case: str,
    key: str,
    rule: str = "hour >= 17",
    evidence: Path | None = None,
):
    bundle, digest = a_bundle(folder, use_case, rule=rule, trained=True)
    return registry.register(use_case, bundle, digest, key=key, params={"trials": "40"}, outcome=OUTCOME, evidence=evidence)


def some_evidence(folder: Path) -> Path:
    (folder / "charts").mkdir(parents=True)
    (folder / "model_card.html").write_text("<h1>Parcels</h1>")
    (folder / "card.json").write_text("{}")
    (folder / "charts" / "lift.svg").write_text("<svg/>")
    return folder


def three_versions(registry: ModelRegistry, folder: Path, use_case: str) -> None:
    registry.register_baseline(use_case, *a_bundle(folder / "rule", use_case))
    for number in "123":
        register_trained(registry, folder / number, use_case, f"key-{number}", f"hour >= {number}")


def roles(registry: ModelRegistry, use_case: str) -> tuple[str, str, str]:
    alias_state = registry.alias_state(use_case)
    return alias_state.champion, alias_state.challenger, alias_state.previous


def test_version_0_serves_until_something_is_promoted(registry, use_case, tmp_path):
    version = registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    assert (version.version, version.stage, version.as_of) == ("0", Stage.CHAMPION, None)
    assert registry.champion(use_case) == version
    assert registry.versions(use_case) == (version,)


def test_registering_version_0_again_changes_nothing_and_a_changed_rule_replaces_it(registry, use_case, tmp_path):
    first = registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    assert registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case)) == first
    changed, digest = a_bundle(tmp_path / "changed", use_case, rule="hour >= 20")
    assert registry.register_baseline(use_case, changed, digest).bundle_digest == digest != first.bundle_digest


def test_a_registered_version_says_what_it_was_made_from(registry, use_case, tmp_path):
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    version = register_trained(registry, tmp_path / "trained", use_case, "key-1")
    assert (version.version, version.stage, version.as_of, version.snapshot) == ("1", Stage.CANDIDATE, AS_OF, "5" * 64)
    assert version.metrics == {"roc_auc": 0.71}
    assert version.run_id
    assert GateOutcome(version.passed, version.summary, version.judged_against) == OUTCOME
    assert registry.version(use_case, "1") == version == registry.find(use_case, "key-1")


def test_the_same_key_gives_the_same_version(registry, use_case, tmp_path):
    first = register_trained(registry, tmp_path / "a", use_case, "key-1")
    assert register_trained(registry, tmp_path / "a", use_case, "key-1") == first
    assert register_trained(registry, tmp_path / "b", use_case, "key-2", "hour >= 16").version == "2"
    assert registry.find(use_case, "key-3") is None


def test_the_champion_moves_there_and_back(registry, use_case, tmp_path):
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    register_trained(registry, tmp_path / "a", use_case, "key-1")
    register_trained(registry, tmp_path / "b", use_case, "key-2", "hour >= 16")
    registry.set_champion(use_case, "2")
    assert registry.champion(use_case).version == "2"
    registry.set_champion(use_case, "1")
    assert [version.stage for version in registry.versions(use_case)] == [Stage.RETIRED, Stage.CHAMPION, Stage.RETIRED]
    registry.set_champion(use_case, "0")
    assert registry.champion(use_case).version == "0"
    registry.set_champion(use_case, "0")


def test_what_is_downloaded_is_what_was_registered(registry, use_case, tmp_path):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1")
    folder = registry.download(version, tmp_path / "cache")
    assert {path.name for path in folder.iterdir()} == {MANIFEST, "golden.json"}
    assert (folder / MANIFEST).read_bytes() == (tmp_path / "a" / MANIFEST).read_bytes()


def test_what_is_not_there_is_an_error(registry, use_case, tmp_path):
    with pytest.raises(RegistryError):
        registry.champion(use_case)
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    with pytest.raises(RegistryError):
        registry.version(use_case, "7")
    with pytest.raises(RegistryError):
        registry.set_champion(use_case, "7")
    assert registry.champion(use_case).version == "0"


def test_previous_is_the_champion_before(registry, use_case, tmp_path):
    three_versions(registry, tmp_path, use_case)
    assert registry.alias_state(use_case) == AliasState()
    moves = [("1", "0"), ("2", "1"), ("2", "1"), ("1", "2"), ("0", "1"), ("3", "0")]
    for version, previous in moves:
        registry.set_champion(use_case, version)
        assert roles(registry, use_case) == (version, "0", previous)


def test_a_challenger_comes_goes_and_wins(registry, use_case, tmp_path):
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    registry.set_challenger(use_case, "2")
    assert roles(registry, use_case) == ("1", "2", "0")
    stages = [version.stage for version in registry.versions(use_case)]
    assert stages == [Stage.RETIRED, Stage.CHAMPION, Stage.CHALLENGER, Stage.CANDIDATE]
    registry.set_challenger(use_case, "0")
    registry.set_challenger(use_case, "0")
    assert roles(registry, use_case) == ("1", "0", "0")
    registry.set_challenger(use_case, "3")
    registry.set_champion(use_case, "2")
    assert roles(registry, use_case) == ("2", "3", "1")
    registry.set_champion(use_case, "3")
    assert roles(registry, use_case) == ("3", "0", "2")


def test_a_version_that_was_champion_stays_retired_as_challenger(registry, use_case, tmp_path):
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    registry.set_champion(use_case, "2")
    registry.set_challenger(use_case, "1")
    assert registry.version(use_case, "1").stage is Stage.RETIRED
    assert roles(registry, use_case) == ("2", "1", "1")


def test_neither_the_champion_nor_what_is_not_there_can_be_challenger(registry, use_case, tmp_path):
    with pytest.raises(RegistryError):
        registry.set_challenger(use_case, "1")
    with pytest.raises(RegistryError):
        registry.alias_state(use_case)
    three_versions(registry, tmp_path, use_case)
    registry.set_champion(use_case, "1")
    with pytest.raises(RegistryError, match=r"version 1 of .* is champion already"):
        registry.set_challenger(use_case, "1")
    with pytest.raises(RegistryError):
        registry.set_challenger(use_case, "7")
    assert roles(registry, use_case) == ("1", "0", "0")


def test_evidence_comes_back_as_it_was(registry, use_case, tmp_path):
    version = register_trained(registry, tmp_path / "a", use_case, "key-1", evidence=some_evidence(tmp_path / "pages"))
    found = registry.download_evidence(version, tmp_path / "new" / "folder")
    assert found == tmp_path / "new" / "folder" / EVIDENCE
    files = {path.relative_to(found).as_posix(): path.read_text() for path in found.rglob("*") if path.is_file()}
    assert files == {"model_card.html": "<h1>Parcels</h1>", "card.json": "{}", "charts/lift.svg": "<svg/>"}
    assert registry.download_evidence(version, tmp_path / "new" / "folder") == found


def test_no_evidence_is_none_and_a_wrong_folder_is_said(registry, use_case, tmp_path):
    (tmp_path / "empty").mkdir()
    for number, evidence in enumerate((None, tmp_path / "empty")):
        version = register_trained(registry, tmp_path / "a", use_case, f"key-{number}", evidence=evidence)
        assert registry.download_evidence(version, tmp_path) is None
    with pytest.raises(RegistryError, match="is not a folder"):
        register_trained(registry, tmp_path / "a", use_case, "key-2", evidence=tmp_path / "nowhere")
    assert registry.find(use_case, "key-2") is None


def a_rollout(use_case: str) -> Rollout:
    return Rollout(
        id=f"{use_case}/1/1",
        use_case=use_case,
        champion=RolloutVersion(version="0", digest="0" * 64),
        challenger=RolloutVersion(version="1", digest="1" * 64),
        policy=RolloutPolicy(),
        state=RolloutState.RUNNING,
        reason="7 € × 3",
        actor="ana",
        started_at=AS_OF,
        since=AS_OF,
        changed_at=AS_OF,
        requested_by="ana",
    )


def test_the_last_rollout_is_remembered_as_it_was_written(registry, use_case, tmp_path):
    with pytest.raises(RegistryError):
        registry.rollout(use_case)
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    assert registry.rollout(use_case) is None
    assert registry.guard_report(use_case) is None
    begun = a_rollout(use_case)
    for rollout in (begun, begun.model_copy(update={"state": RolloutState.ABORTED, "revision": 2})):
        registry.set_rollout(rollout)
        assert registry.rollout(use_case) == rollout
    with pytest.raises(RegistryError):
        registry.set_rollout(a_rollout("nobody_knows"))


def test_what_serving_reports_is_read_and_a_spoilt_tag_is_said(mlflow_url, use_case, tmp_path):
    registry = MlflowRegistry(mlflow_url)
    registry.register_baseline(use_case, *a_bundle(tmp_path / "rule", use_case))
    registry.set_rollout(a_rollout(use_case))
    serving = RegistryClient(mlflow_url)
    report = GuardReport(rollout=f"{use_case}/1/1", reason="it gave the score nan", at=AS_OF, by="here")
    for _ in range(2):
        serving.report(use_case, report)
    assert registry.guard_report(use_case) == report
    assert serving.view(use_case) == RegistryView(None, a_rollout(use_case), report)
    registry._client.set_registered_model_tag(use_case, ROLLOUT_TAG, "spoilt")
    with pytest.raises(RegistryError, match=r"its tag rollout cannot be read .* remove the tag in MLflow"):
        registry.rollout(use_case)
    assert serving.view(use_case) == RegistryView(None, None, report)
    serving.close()
