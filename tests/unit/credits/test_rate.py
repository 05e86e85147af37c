"""One person's flood stops at the bucket's bottom and harms nobody else."""

from __future__ import annotations

import pytest

from gateway.credits.rate import MAX_BUCKETS, RateLimit
from gateway.errors import RateLimited
from gateway.exchange import ActorId

ALICE, BOB = ActorId("c|alice"), ActorId("c|bob")


def test_the_bucket_empties_says_when_and_fills_again():
    at = [0.0]
    rate = RateLimit(60, now=lambda: at[0])
    assert rate.take(ALICE)["x-ratelimit-remaining-requests"] == "59"
    for _ in range(59):
        rate.take(ALICE)
    with pytest.raises(RateLimited) as caught:
        rate.take(ALICE)
    assert caught.value.retry_after_seconds == pytest.approx(1)
    rate.take(BOB)
    at[0] += 1.01
    assert rate.take(ALICE)["x-ratelimit-reset-requests"] == "60s"


def test_memory_is_bounded_and_a_running_flood_is_not_forgotten():
    at = [0.0]
    rate = RateLimit(2, now=lambda: at[0])
    rate.take(ALICE)
    at[0] = 29.0
    for i in range(MAX_BUCKETS + 10):
        rate.take(ActorId(f"c|{i}"))
        at[0] += 0.01
    rate.take(BOB)
    rate.take(BOB)
    with pytest.raises(RateLimited):
        rate.take(BOB)
    at[0] += 600
    rate.take(ALICE)
    assert len(rate._buckets) < MAX_BUCKETS
