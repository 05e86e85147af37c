"""What a journal keeps and forgets, on the other database: the same tests as in `tests/unit/replay`."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.replay.conftest import document, journal_on
from tests.unit.replay.test_journal import (  # noqa: F401  # collected here once more
    read,
    see,
    test_a_batch_over_midnight_becomes_two_days,
    test_a_person_can_be_forgotten,
    test_a_request_is_found_again_at_the_stage_asked_for,
    test_another_secret_opens_nothing,
    test_no_answer_is_kept_as_none,
    test_only_the_days_asked_for_are_read,
    test_pages_whose_key_is_destroyed_are_passed_over,
    test_the_keys_of_old_days_go_and_their_pages_with_them,
    test_what_was_erased_from_the_log_is_erased_here,
    test_what_was_seen_comes_back_whole_and_in_order,
)

pytestmark = pytest.mark.xdist_group("identity-storage")


async def test_gateways_that_share_a_database_read_what_each_of_them_saw(database, clock):
    gateways = [journal_on(database, clock) for _ in range(4)]
    for n, journal in enumerate(gateways):
        see(journal, *(document(f"{n}-{one}") for one in range(20)))
    await asyncio.gather(*(journal.flush() for journal in gateways))
    seen = [one["document"]["request_id"] for one in await read(gateways[0])]
    assert sorted(seen) == sorted(f"{n}-{one}" for n in range(4) for one in range(20))
    assert await gateways[1].sweep() == 0
