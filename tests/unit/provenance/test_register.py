"""Pictures that left are found again by record, handle and fingerprint, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.prints.fingerprint import ALIKE, LEAST_QUALITY, Fingerprint
from gateway.provenance.register import MOST_TOLD, Register, released
from gateway.provenance.release import Released
from gateway.storage.database import Database
from tests.support.scim import database as fresh

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BITS = 0xF0F0_1234_5678_9ABC << 190


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def picture(handle: int | None = 7, bits: int = BITS, quality: int = 100) -> Released:
    return Released(
        data=b"",
        media_type="image/png",
        width=1,
        height=1,
        sha256="",
        handle=handle,
        fingerprint=Fingerprint(bits, quality),
        certificate="",
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh(request.param, tmp_path_factory.mktemp("register")) as url:
        yield url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.transaction() as tx:
        await tx.execute(released.delete())
    yield database
    await database.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def register(database: Database, clock: Clock) -> Register:
    return Register(database, clock)


async def test_found_by_record_and_by_handle(register: Register) -> None:
    await register.remember("record-1", 0, "model-a", picture(handle=(1 << 48) - 1))
    await register.remember("record-2", 0, "model-b", picture(handle=5))
    (known,) = await register.by_record("record-1")
    assert (known.record_id, known.model, known.created) == ("record-1", "model-a", NOW)
    assert [one.record_id for one in await register.by_handle((1 << 48) - 1)] == ["record-1"]
    assert await register.by_handle(6) == await register.by_record("record-3") == []


async def test_two_that_share_a_handle_are_both_told(register: Register) -> None:
    for record in ("record-1", "record-2"):
        await register.remember(record, 0, "m", picture())
    assert {one.record_id for one in await register.by_handle(7)} == {"record-1", "record-2"}


async def test_the_finished_picture_takes_the_place_of_its_partial_one(register: Register) -> None:
    await register.remember("record-1", 0, "m", picture(bits=BITS ^ 1))
    await register.remember("record-1", 0, "m", picture())
    await register.remember("record-1", 1, "m", picture(handle=8))
    assert len(await register.by_record("record-1")) == 2
    assert len(await register.by_handle(7)) == 1


async def test_near_is_up_to_the_promised_number_of_bits_and_nearest_first(register: Register) -> None:
    for distance in (ALIKE, ALIKE + 1, 3, 0):
        await register.remember(f"at {distance}", 0, "m", picture(bits=BITS ^ ((1 << distance) - 1)))
    turned = [Fingerprint(BITS ^ ((1 << 255) - 1), 100), Fingerprint(BITS, 100)]
    found = await register.near(turned)
    assert [(one.record_id, one.distance) for one in found] == [("at 0", 0), ("at 3", 3), (f"at {ALIKE}", ALIKE)]


async def test_what_comes_later_is_found_too(register: Register) -> None:
    assert await register.near([Fingerprint(BITS, 100)]) == []
    for place in range(3):
        await register.remember("record-1", place, "m", picture())
        assert len(await register.near([Fingerprint(BITS, 100)])) == place + 1


async def test_a_fingerprint_that_says_little_finds_nothing_and_is_not_found(register: Register) -> None:
    await register.remember("flat", 0, "m", picture(quality=LEAST_QUALITY - 1))
    await register.remember("rich", 0, "m", picture())
    assert [one.record_id for one in await register.near([Fingerprint(BITS, 100)])] == ["rich"]
    assert await register.near([Fingerprint(BITS, LEAST_QUALITY - 1)]) == []


async def test_a_crowd_is_cut_short(register: Register) -> None:
    for place in range(MOST_TOLD + 1):
        await register.remember("record-1", place, "m", picture())
    for found in (await register.near([Fingerprint(BITS, 100)]), await register.by_record("record-1")):
        assert len(found) == MOST_TOLD


async def test_after_its_days_a_picture_is_forgotten_everywhere(
    register: Register, database: Database, clock: Clock
) -> None:
    await register.remember("old", 0, "m", picture())
    assert len(await register.near([Fingerprint(BITS, 100)])) == 1
    clock.now = NOW + timedelta(days=365)
    await register.remember("young", 0, "m", picture())
    assert await register.forget_before(365) == 0
    clock.now += timedelta(seconds=1)
    assert await register.forget_before(365) == 1
    assert await register.by_record("old") == []
    assert [one.record_id for one in await register.near([Fingerprint(BITS, 100)])] == ["young"]
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(released))).scalar() == 1


async def test_a_second_process_is_seen(register: Register, database: Database, clock: Clock) -> None:
    await register.near([Fingerprint(BITS, 100)])
    await Register(database, clock).remember("of another", 0, "m", picture())
    assert [one.record_id for one in await register.near([Fingerprint(BITS, 100)])] == ["of another"]


def test_no_column_names_a_person(tmp_path: Path) -> None:
    assert set(released.c.keys()) == {
        "seq",
        "record_id",
        "place",
        "handle",
        "fingerprint",
        "quality",
        "model",
        "released_at",
    }
