"""The contract of the VersionHistory port, held against the fake and against PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from noria.core.base.results import SnapshotRef
from noria.data.postgres.warehouse import Warehouse
from noria.reports.history import PostgresVersionHistory, VersionHistory
from noria.reports.operations import Operations
from noria.testing.builders import a_use_case
from noria.testing.fakes.history import InMemoryVersionHistory

SNAPSHOT = SnapshotRef(
    digest="5" * 64, path="a.parquet", as_of=datetime(2024, 5, 9, tzinfo=UTC).isoformat(), rows=900, positives=40
)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def history(request: pytest.FixtureRequest) -> Iterator[VersionHistory]:
    if request.param == "memory":
        yield InMemoryVersionHistory()
        return
    warehouse = Warehouse(request.getfixturevalue("warehouse_url"))
    yield PostgresVersionHistory(warehouse.engine)
    warehouse.close()


def test_lineage_names_the_training_set_and_its_tables(history, tmp_path):
    lineage = history.lineage(a_use_case(tmp_path), SNAPSHOT)
    assert (lineage.snapshot, lineage.rows, lineage.positives) == (SNAPSHOT.digest, 900, 40)
    assert (lineage.features, lineage.labels) == ("features.ftr_parcels", "labels.lbl_parcels")
    assert lineage.as_of.isoformat() == SNAPSHOT.as_of


def test_lineage_of_sources_that_have_brought_nothing_says_so(history, tmp_path):
    lineage = history.lineage(a_use_case(tmp_path), SNAPSHOT)
    (source,) = lineage.sources
    assert (source.name, source.origin, source.table) == ("parcels", "data/*.csv", "raw.parcels__parcels")
    assert lineage.unknown == ("parcels",)


def test_operations_of_a_version_that_has_done_nothing_are_zero(history):
    assert history.operations("parcels", "1") == Operations()
