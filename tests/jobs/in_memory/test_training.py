"""Steps of training around the fit, with every part in memory. The search and the fit have tests of their own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from noria.core.base.errors import NotEnoughDataError
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import specification_digest
from noria.jobs import training
from tests.jobs.in_memory.parcels import day, feature_rows, label_rows
from tests.release.candidates import a_bundle

AS_OF = datetime(2024, 5, 9, tzinfo=UTC)


@pytest.fixture
def labelled(services, use_case):
    services.features.put_features(use_case, feature_rows([9, 18, 23, 4] * 3))
    services.features.put_labels(use_case, label_rows(use_case, [False, True, None, True] * 2 + [True, True, False, False]))
    return use_case


def test_ensure_baseline_twice_registers_one_version(services, use_case):
    first, again = (training.ensure_baseline(services, use_case) for _ in range(2))
    assert first == again == services.registry.champion("parcels")


def test_ensure_baseline_after_an_edit_replaces_the_baseline(services, use_case):
    first = training.ensure_baseline(services, use_case)
    business = use_case.business.model_copy(update={"baseline": "hour >= 20"})
    edited = training.ensure_baseline(services, use_case.model_copy(update={"business": business}))
    assert (edited.version, edited.bundle_digest != first.bundle_digest) == ("0", True)


def test_take_snapshot_freezes_what_was_known(services, labelled):
    snapshot = training.take_snapshot(services, labelled, AS_OF)
    assert (snapshot.rows, snapshot.positives, snapshot.as_of) == (10, 6, AS_OF.isoformat())
    rows = pq.read_table(snapshot.path)
    assert rows.column_names == ["parcel_id", "promised_at", "weight", "hour", "depot", "label", "label_known_at"]
    assert rows["label"].to_pylist() == [False, True, True] * 2 + [True, True, False, False]


def test_take_snapshot_twice_gives_one_file(services, labelled):
    first, again = (training.take_snapshot(services, labelled, AS_OF) for _ in range(2))
    assert first == again
    assert [path.name for path in Path(first.path).parent.iterdir()] == [f"{first.digest}.parquet"]


def test_take_snapshot_of_too_few_rows_is_refused(services, labelled):
    with pytest.raises(NotEnoughDataError, match="0 labelled rows as of 2024-05-01"):
        training.take_snapshot(services, labelled, day(0).end - timedelta(hours=1))


def test_take_snapshot_leaves_quarantined_intervals_out(services, labelled):
    services.features.quarantine(labelled, day(0))
    with pytest.raises(NotEnoughDataError):
        training.take_snapshot(services, labelled, AS_OF)


def test_fit_and_register_of_a_registered_training_returns_it_without_a_fit(services, labelled, tmp_path):
    training.ensure_baseline(services, labelled)
    snapshot = training.take_snapshot(services, labelled, AS_OF)
    bundle, digest = a_bundle(tmp_path / "trained", AS_OF)
    registered = services.registry.register(
        "parcels",
        bundle,
        digest,
        key=f"{snapshot.digest[:16]}-{specification_digest(labelled)[:16]}",
        params={},
        outcome=GateOutcome(passed=True, summary="roc_auc 0.71", judged_against="0"),
    )
    found = [training.fit_and_register(services, labelled, snapshot) for _ in range(2)]
    assert found == [registered.reference()] * 2
    assert len(services.registry.versions("parcels")) == 2
