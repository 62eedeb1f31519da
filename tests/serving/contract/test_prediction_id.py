"""Identifiers of predictions are UUIDs of version 7."""

import uuid
from datetime import UTC, datetime, timedelta

from serving.contract.prediction_id import uuid7

NOW = datetime(2024, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)


def test_it_is_a_uuid_of_version_7_that_holds_the_time():
    identity = uuid.UUID(uuid7(NOW))
    assert (identity.version, identity.variant) == (7, uuid.RFC_4122)
    assert identity.int >> 80 == int(NOW.timestamp() * 1000)
    assert str(identity) == uuid7(NOW)[:13] + str(identity)[13:]


def test_it_sorts_by_time():
    identities = [uuid7(NOW + timedelta(milliseconds=step)) for step in range(100)]
    assert identities == sorted(identities)


def test_no_two_are_equal():
    assert len({uuid7(NOW) for _ in range(20_000)}) == 20_000
