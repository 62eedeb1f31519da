"""The contract of the DataSteps port, held against the fake and against real flights in PostgreSQL."""

from collections.abc import Iterator

import pytest

from noria.core.base.errors import TransformError
from noria.data.postgres.warehouse import Warehouse
from noria.data.steps import WarehouseSteps
from noria.io.catalog import load_use_case
from noria.ports.data_steps import DataSteps
from noria.settings import source_url
from noria.testing.clock import ManualClock
from noria.testing.fakes.data_steps import RecordingDataSteps
from tests.conftest import PROJECT
from tests.data.slice import FIRST, KEY

pytestmark = [
    pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow"),
]
USE_CASE = load_use_case(PROJECT / "use_cases/flight_delays/use_case.yaml")


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def steps(request: pytest.FixtureRequest, tmp_path) -> Iterator[DataSteps]:
    if request.param == "memory":
        yield RecordingDataSteps()
        return
    warehouse = Warehouse(request.getfixturevalue("warehouse_url"))
    yield WarehouseSteps(
        warehouse=warehouse,
        clock=ManualClock(),
        use_cases=PROJECT / "use_cases",
        dbt_project=PROJECT / "dbt_project",
        dbt_state=tmp_path,
        source_url=source_url,
        pseudonym_key=KEY,
    )
    warehouse.close()


def test_each_step_names_the_tables_that_it_fills(steps):
    assert set(steps.ingest(USE_CASE, FIRST).rows) == {source.name for source in USE_CASE.sources}
    assert steps.validate(USE_CASE, FIRST, "raw").expectations > 0
    assert {USE_CASE.features.model, USE_CASE.label.model} <= set(steps.transform(USE_CASE, FIRST).rows)
    assert steps.validate(USE_CASE, FIRST, "features").expectations > 0


def test_a_step_that_is_run_again_gives_the_same_rows(steps):
    assert steps.ingest(USE_CASE, FIRST).rows == steps.ingest(USE_CASE, FIRST).rows
    assert steps.transform(USE_CASE, FIRST) == steps.transform(USE_CASE, FIRST)


def test_features_that_were_never_built_cannot_be_validated(steps):
    with pytest.raises(TransformError, match="does not exist: run the transform step"):
        steps.validate(USE_CASE, FIRST, "features")
