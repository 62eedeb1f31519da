"""The training steps as a pipeline calls them, on real PostgreSQL and a real MLflow server."""

import uuid
from pathlib import Path

import pytest
from pydantic import SecretStr

from noria.bootstrap import Services, bootstrap
from noria.core.base.errors import PromotionConflictError
from noria.core.base.results import VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.jobs import release, training
from noria.settings import Settings
from noria.testing.snapshots import made_up_columns, write_snapshot
from tests.training.conftest import AS_OF, parcels


@pytest.fixture
def use_case(tmp_path):
    return parcels(
        tmp_path,
        name=f"parcels_{uuid.uuid4().hex[:8]}",
        training={"trials": 3, "candidates": ["linear", "blend"]},
        gates=[{"metric": "roc_auc", "at_least": 0.6}, {"metric": "value", "better_than": "champion"}],
    )


@pytest.fixture
def snapshot(use_case, tmp_path):
    return write_snapshot(tmp_path / "snapshots", use_case, made_up_columns(5000), AS_OF)


@pytest.fixture
def services(warehouse_url, mlflow_url, tmp_path) -> Services:
    settings = Settings(home=tmp_path, warehouse_url=SecretStr(warehouse_url), mlflow_url=mlflow_url)
    services = bootstrap(settings)
    yield services
    services.warehouse.engine.dispose()


def train(services, use_case, snapshot) -> VersionRef:
    training.ensure_baseline(services, use_case)
    training.search(services, use_case, snapshot, worker=0)
    registered = training.fit_and_register(services, use_case, snapshot)
    assert not list(Path(snapshot.path).parent.glob("*.search")), "what trials kept is taken away"
    return registered


def test_a_candidate_is_trained_promoted_and_rolled_back_and_every_step_can_be_repeated(services, use_case, snapshot):
    candidate = train(services, use_case, snapshot)
    assert (candidate.version, candidate.passed, candidate.champion) == ("1", True, "0")
    assert "ROC AUC" in candidate.summary
    assert len(candidate.model_dump_json()) < 1000
    assert train(services, use_case, snapshot) == candidate

    for _ in range(2):
        assert release.promote(services, use_case, PromotionRequest(candidate, actor="ana", reason="reviewed")).promoted
    assert train(services, use_case, snapshot) == candidate  # champion by now: still the same version
    assert services.audit.version_in_force(use_case.name, AS_OF) == "1"
    assert services.audit.verify() == 2

    rolled_back = release.roll_back(services, use_case, actor="ben", reason="complaints")
    assert (rolled_back.version, services.registry.champion(use_case.name).version) == ("0", "0")
    assert services.audit.version_in_force(use_case.name, AS_OF) == "0"


def test_scores_of_trials_are_deleted_after_registration(services, use_case, snapshot):
    training.ensure_baseline(services, use_case)
    training.search(services, use_case, snapshot, worker=0)
    (kept,) = Path(snapshot.path).parent.glob("*.search/*")
    assert len(list(kept.glob("*.npy"))) == 3
    training.fit_and_register(services, use_case, snapshot)
    assert not kept.parent.exists()


def test_candidate_compared_with_a_retired_champion_is_evaluated_again(services, use_case, snapshot, tmp_path):
    candidate = train(services, use_case, snapshot)
    fewer = write_snapshot(tmp_path / "snapshots", use_case, made_up_columns(3000, seed=1), AS_OF)
    other = train(services, use_case, fewer)
    assert release.promote(services, use_case, PromotionRequest(other, actor="ana")).promoted
    with pytest.raises(PromotionConflictError, match="train again"):
        release.promote(services, use_case, PromotionRequest(candidate, actor="ana"))
    again = train(services, use_case, snapshot)
    assert (again.version, again.champion, again.bundle_digest == candidate.bundle_digest) == ("3", other.version, False)
    assert train(services, use_case, snapshot) == again
