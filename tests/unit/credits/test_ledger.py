"""The ledger: never negative, always balanced, idempotent by request id."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.credits import Ledger, price
from gateway.errors import CreditsEmpty
from gateway.exchange import ActorId, Charge, ImageRequest, RequestId
from gateway.settings import CreditSettings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.vocabulary import Permission

ALICE = ActorId("canaille|alice")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def database(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(database, clock) -> Ledger:
    return Ledger(database, CreditSettings(), clock)


async def test_a_person_starts_with_fifty_credits(ledger):
    balance = await ledger.balance(ALICE)
    assert (balance.available, balance.granted) == (50, 50)
    assert balance.renews_at == datetime(2026, 12, 1, tzinfo=UTC)


async def test_a_new_month_expires_the_rest_and_grants_fifteen(ledger, clock):
    await ledger.balance(ALICE)
    clock.now = datetime(2027, 1, 3, tzinfo=UTC)
    assert (await ledger.balance(ALICE)).available == 15
    assert await ledger.check() == []


async def test_a_settled_reservation_is_spent(ledger):
    charge = await ledger.reserve(RequestId("r1"), ALICE, 2)
    assert charge.remaining == 48
    assert await ledger.settle(charge) == 48
    assert (await ledger.balance(ALICE)).reserved == 0
    assert await ledger.check() == []


async def test_a_released_reservation_comes_back_whole(ledger):
    await ledger.reserve(RequestId("r1"), ALICE, 2)
    await ledger.release(RequestId("r1"))
    assert (await ledger.balance(ALICE)).available == 50


async def test_reserving_twice_under_one_id_charges_once(ledger):
    first = await ledger.reserve(RequestId("r1"), ALICE, 3)
    second = await ledger.reserve(RequestId("r1"), ALICE, 3)
    assert first == second
    assert (await ledger.balance(ALICE)).available == 47


async def test_release_after_settle_gives_nothing_back(ledger):
    charge = await ledger.reserve(RequestId("r1"), ALICE, 3)
    await ledger.settle(charge)
    await ledger.release(RequestId("r1"))
    assert (await ledger.balance(ALICE)).available == 47


async def test_settle_after_release_spends_nothing(ledger):
    charge = await ledger.reserve(RequestId("r1"), ALICE, 3)
    await ledger.release(RequestId("r1"))
    await ledger.settle(charge)
    balance = await ledger.balance(ALICE)
    assert (balance.available, balance.reserved) == (50, 0)


async def test_releasing_what_was_never_reserved_changes_nothing(ledger):
    await ledger.release(RequestId("nobody"))
    assert (await ledger.balance(ALICE)).available == 50


async def test_an_empty_account_refuses_and_stays_as_it_was(ledger):
    await ledger.settle(await ledger.reserve(RequestId("r1"), ALICE, 49))
    with pytest.raises(CreditsEmpty, match=r"This costs 2 credits; you have 1\. .*1 December"):
        await ledger.reserve(RequestId("r2"), ALICE, 2)
    assert (await ledger.balance(ALICE)).available == 1
    assert await ledger.check() == []


async def test_a_part_can_be_settled_and_the_rest_comes_back(ledger):
    charge = await ledger.reserve(RequestId("r1"), ALICE, 3)
    assert await ledger.settle(charge, used=1) == 49
    assert await ledger.check() == []


async def test_credits_released_in_a_later_month_expire_at_once(ledger, clock):
    await ledger.reserve(RequestId("r1"), ALICE, 5)
    clock.now += timedelta(days=20)
    await ledger.release(RequestId("r1"))
    assert (await ledger.balance(ALICE)).available == 15
    assert await ledger.check() == []


async def test_five_hundred_at_once_never_overspend(ledger):
    async def one(i: int) -> bool:
        try:
            await ledger.settle(await ledger.reserve(RequestId(f"r{i}"), ALICE, 1))
        except CreditsEmpty:
            return False
        return True

    served = await asyncio.gather(*(one(i) for i in range(500)))
    assert sum(served) == 50
    balance = await ledger.balance(ALICE)
    assert (balance.available, balance.reserved) == (0, 0)
    assert await ledger.check() == []


async def test_check_names_an_account_that_was_tampered_with(ledger, database):
    await ledger.balance(ALICE)
    async with database.transaction() as tx:
        await tx.exec_driver_sql("update credit_accounts set available = 999")
    assert "canaille|alice" in (await ledger.check())[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["reserve", "settle", "release", "month"]), st.integers(0, 5), st.integers(1, 20)),
        max_size=25,
    )
)
async def test_any_order_of_calls_keeps_the_books_balanced(tmp_path_factory, moves):
    database = Database(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('ledger')}/gateway.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    clock = Clock()
    ledger = Ledger(database, CreditSettings(), clock)
    charges: dict[int, Charge] = {}
    for move, which, credits in moves:
        if move == "reserve":
            try:
                charge = await ledger.reserve(
                    RequestId(f"r{which}"), ALICE, charges[which].credits if which in charges else credits
                )
            except CreditsEmpty:
                continue
            charges.setdefault(which, charge)
        elif move == "settle" and which in charges:
            await ledger.settle(charges[which], used=min(credits, charges[which].credits))
        elif move == "release":
            await ledger.release(RequestId(f"r{which}"))
        elif move == "month":
            clock.now += timedelta(days=31)
        assert await ledger.check() == []
    await database.aclose()


@pytest.mark.parametrize(("pictures", "credits"), [(1, 1), (4, 1), (5, 2), (8, 2), (10, 3)])
def test_one_credit_buys_up_to_four_pictures(pictures, credits):
    assert price(ImageRequest(action=Permission.IMAGE_GENERATE, prompt="a fox", model="m", n=pictures)) == credits


@pytest.mark.parametrize("action", [Permission.IMAGE_EDIT, Permission.IMAGE_VARY])
@pytest.mark.parametrize(("pictures", "credits"), [(1, 1), (3, 1), (4, 2), (10, 4)])
def test_of_edits_and_variations_a_credit_is_worth_three(action, pictures, credits):
    assert price(ImageRequest(action=action, prompt="", model="m", n=pictures)) == credits
