"""Data steps, with every part in memory: features are kept from use from before they are built until they have passed."""

import pytest

from noria.core.base.errors import QualityError, SourceError, TransformError
from noria.jobs import data
from tests.jobs.in_memory.parcels import day


def refused(services, use_case):
    try:
        services.features.refuse_quarantined(use_case, day(0))
    except QualityError:
        return True
    return False


def test_features_may_be_used_once_they_have_passed(services, use_case):
    data.ingest(services, use_case, day(0))
    data.validate(services, use_case, day(0), "raw")
    data.transform(services, use_case, day(0))
    assert refused(services, use_case)
    data.validate(services, use_case, day(0), "features")
    assert not refused(services, use_case)
    steps = ["ingest", "validate raw", "transform", "validate features"]
    assert services.data_steps.done == [(step, day(0)) for step in steps]


def test_raw_rows_that_pass_release_no_features(services, use_case):
    data.transform(services, use_case, day(0))
    data.validate(services, use_case, day(0), "raw")
    assert refused(services, use_case)


def test_features_that_fail_stay_out_of_use(services, use_case):
    data.transform(services, use_case, day(0))
    services.data_steps.broken = {"validate features"}
    with pytest.raises(QualityError, match="made to fail"):
        data.validate(services, use_case, day(0), "features")
    assert refused(services, use_case)


def test_features_of_a_transform_that_fails_half_way_stay_out_of_use(services, use_case):
    services.data_steps.broken = {"transform"}
    with pytest.raises(TransformError):
        data.transform(services, use_case, day(0))
    assert refused(services, use_case), "dbt may have replaced some rows"


def test_a_day_is_released_alone(services, use_case):
    for number in (0, 1):
        data.transform(services, use_case, day(number))
    data.validate(services, use_case, day(1), "features")
    assert refused(services, use_case)


def test_ingest_that_fails_leaves_released_features_in_use(services, use_case):
    data.transform(services, use_case, day(0))
    data.validate(services, use_case, day(0), "features")
    services.data_steps.broken = {"ingest"}
    with pytest.raises(SourceError):
        data.ingest(services, use_case, day(0))
    assert not refused(services, use_case)
