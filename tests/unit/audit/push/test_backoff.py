"""How long senders wait."""

from __future__ import annotations

from audit.push.backoff import LONGEST_SECONDS, LONGEST_WISH_SECONDS, Backoff
from audit.push.sink import is_loopback


def test_waits_grow_to_a_limit_and_begin_again() -> None:
    backoff = Backoff(0.5, 8)
    waits = [[backoff.next_seconds() for _ in range(12)] for _ in range(50) if backoff.reset() is None]
    for position, ceiling in enumerate((0.5, 1, 2, 4, 8, 8, 8)):
        assert all(0 <= row[position] <= ceiling for row in waits)
    assert max(row[8] for row in waits) > 4
    assert len({row[5] for row in waits}) > 40  # jitter: many senders do not come at once


def test_a_receiver_s_wish_counts_up_to_an_hour() -> None:
    backoff = Backoff(0.5, LONGEST_SECONDS)
    assert 30 <= backoff.next_seconds(30) <= 30.5
    assert backoff.next_seconds(10**9) <= LONGEST_WISH_SECONDS + 0.5
    assert backoff.next_seconds(-5) <= 0.5


def test_after_a_thousand_failures_it_still_waits_a_minute_at_most() -> None:
    backoff = Backoff()
    assert all(backoff.next_seconds() <= 60 for _ in range(5000))


def test_loopback_is_what_no_resolver_elsewhere_can_answer() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, ("localhost.example.com", "10.0.0.1", "0.0.0.0", "::", "127.0.0.1.nip.io", "")))
