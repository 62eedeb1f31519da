"""The bucket of a key: what it lets in, however requests come, and what it says of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.rate_limit import Bucket, RateLimits


def headers_of(taken):
    return {name.decode(): int(value) for name, value in taken.headers}


def test_bucket_full_allows_a_burst_then_refills_at_its_rate():
    bucket = Bucket(60, now=100.0)
    assert [bucket.take(100.0).wait for _ in range(60)] == [0] * 60
    refused = bucket.take(100.0)
    assert refused.wait == pytest.approx(1.0)
    assert headers_of(refused) == {"ratelimit-limit": 60, "ratelimit-remaining": 0, "ratelimit-reset": 60}
    assert bucket.take(100.5).wait == pytest.approx(0.5)
    assert bucket.take(101.0).wait == 0
    assert headers_of(bucket.take(1000.0)) == {"ratelimit-limit": 60, "ratelimit-remaining": 59, "ratelimit-reset": 1}


def test_bucket_after_the_announced_wait_allows_one_request():
    bucket = Bucket(7, now=0.0)
    while not (wait := bucket.take(0.0).wait):
        pass
    assert bucket.take(wait * 0.9).wait > 0
    assert bucket.take(wait * 1.0001).wait == 0


@given(st.integers(1, 500), st.lists(st.floats(0, 30), max_size=200))
def test_bucket_never_allows_more_than_its_size_and_refill(per_minute, pauses):
    bucket, now, let_in = Bucket(per_minute, now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        let_in += not bucket.take(now).wait
    assert let_in <= per_minute + now * per_minute / 60 + 1e-6


def test_workers_share_a_limit_and_a_small_share_allows_a_request():
    clock = lambda: 0.0  # noqa: E731
    assert headers_of(RateLimits(4, clock).bucket("a", 600).take(0.0))["ratelimit-limit"] == 150
    small = RateLimits(4, clock).bucket("a", 1)
    assert small.take(0.0).wait == 0
    assert small.take(0.0).wait == pytest.approx(240)
    with pytest.raises(ValueError, match="0 workers"):
        RateLimits(0)


def test_bucket_keeps_its_level_until_its_limit_changes():
    limits = RateLimits(now=lambda: 0.0)
    bucket = limits.bucket("a", 2)
    assert limits.bucket("a", 2) is bucket
    assert limits.bucket("a", 3) is not bucket
    assert limits.bucket("a", None) is None
    kept = limits.bucket("b", 2)
    limits.keep_only(frozenset({"b"}))
    assert limits.bucket("b", 2) is kept
