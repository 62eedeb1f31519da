"""What `--verify` refuses or finds before anything is fitted, with every part in memory."""

from datetime import UTC, datetime

import pytest

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import Provenance, baseline_manifest, specification_digest
from noria.io.bundle_files import write_bundle
from noria.jobs import training, verification
from tests.jobs.in_memory.parcels import feature_rows, label_rows

AS_OF = datetime(2024, 5, 9, tzinfo=UTC)


@pytest.fixture
def trained(services, use_case, tmp_path):
    """Version 1, of a training set that is not there any more."""
    training.ensure_baseline(services, use_case)
    provenance = Provenance(as_of=AS_OF, snapshot="5" * 64, specification=specification_digest(use_case), seed=7)
    folder, manifest = tmp_path / "trained", baseline_manifest(use_case).model_copy(update={"provenance": provenance})
    services.registry.register(
        "parcels",
        folder,
        write_bundle(folder, manifest, {}),
        key="1",
        params={"trial": "{}"},
        outcome=GateOutcome(passed=True, summary="", judged_against="0"),
    )
    return use_case


def test_verify_of_another_date_is_refused(services, trained):
    with pytest.raises(RegistryError, match="verify it with that date"):
        verification.verify(services, trained, datetime(2024, 5, 8, tzinfo=UTC), "1")


def test_verify_of_an_edited_use_case_is_refused(services, trained):
    business = trained.business.model_copy(update={"baseline": "hour >= 20"})
    with pytest.raises(RegistryError, match="was edited since version 1 was trained"):
        verification.verify(services, trained.model_copy(update={"business": business}), AS_OF, "1")


def test_verify_of_an_unknown_version_is_refused(services, trained):
    with pytest.raises(RegistryError, match="there is no version 7"):
        verification.verify(services, trained, AS_OF, "7")


def test_verify_after_raw_data_changed_says_so_without_a_fit(services, trained):
    services.features.put_features(trained, feature_rows([9, 18] * 5))
    services.features.put_labels(trained, label_rows(trained, [False, True] * 5))
    found = [verification.verify(services, trained, AS_OF, "1") for _ in range(2)]
    assert found[0] == found[1]
    assert (found[0].same_snapshot, found[0].same_bundle, found[0].same_search) == (False, False, None)
    assert "raw data has changed" in found[0].differences[0]
    assert len(services.registry.versions("parcels")) == 2
