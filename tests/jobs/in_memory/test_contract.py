"""`noria check` and `noria schema` as jobs: files alone."""

import json

import pytest

from noria.core.base.errors import UseCaseError
from noria.jobs import contract
from noria.settings import Settings
from noria.testing.clock import ManualClock
from noria.testing.fakes.services import InMemoryServices
from tests.conftest import PROJECT


@pytest.fixture
def shipped():
    settings = Settings(use_cases=PROJECT / "use_cases", dbt_project=PROJECT / "dbt_project")
    return InMemoryServices(settings=settings, clock=ManualClock())


@pytest.mark.slow  # it imports Great Expectations
@pytest.mark.filterwarnings("ignore:module 'sre_constants' is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:great_expectations")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:marshmallow")
def test_check_of_the_shipped_use_cases_counts_them_and_changes_nothing(shipped):
    first, again = (contract.check(shipped) for _ in range(2))
    assert first == again
    assert {"flight_delays"} <= {checked.name for checked in first}
    assert all(checked.features and checked.gates and checked.sources for checked in first)


def test_check_of_a_use_case_without_a_dbt_model_is_refused(services, use_case):
    with pytest.raises(UseCaseError, match="ftr_parcels"):
        contract.check(services, [use_case.name])


def test_write_schema_twice_writes_the_same_file(services, use_case):
    path = contract.write_schema(services)
    content = path.read_bytes()
    assert contract.write_schema(services) == path
    assert path.read_bytes() == content
    assert json.loads(content) == json.loads(contract.schema())
